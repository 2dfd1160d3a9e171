"""Documents that people write: what is read, and what is refused before it costs memory or time."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.documents import DuplicateKey, check_plain, parse_json, parse_yaml
from mstar.errors import InvalidRecipe

BILLION_LAUGHS = "a: &a [x]\n" + "".join(f"{b}: &{b} [{f'*{a},' * 9}]\n" for a, b in itertools.pairwise("abcdefghi"))


def test_scalars_are_those_of_yaml_1_2() -> None:
    text = "{a: 1e-4, b: 2026-01-01, c: no, d: ~, e: , f: 010, g: true, h: .5, i: 1:30}"
    assert parse_yaml(text) == dict(a=1e-4, b="2026-01-01", c="no", d=None, e=None, f=10, g=True, h=0.5, i="1:30")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BILLION_LAUGHS, "line 2: aliases"),
        ("a: &x 1\nb: *x", "line 2: aliases"),
        ("a: 1\nb: 2\na: 3", "line 3: key 'a' is given twice"),
        ("a: {b: 1, b: 2}", "given twice"),
        ("1: 2", "key is not text"),
        ("? [a]\n: 1", "key is not text"),
        ("[" * 100_000, "nested too deeply"),
        ("a: " + "9" * 5000, "number is too long"),
        ("a: !!timestamp x", "tags"),
        ("a: !!python/name:os.system", "tags"),
        ("a: [", "line 1: expected"),
        ("a: \x00", "unacceptable character"),
        ("x" * 300_000, "longer than"),
        ("a: 1\n---\nb: 1", "one document is read, but found another"),
    ],
)
def test_yaml_that_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")) as refused:
        parse_yaml(text)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("text", ["{", "[1,]", "NaN", '{"a": 1, "a": 2}', "[" * 100_000, "9" * 5000, b"\xff", ""])
def test_json_that_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_json(text)


def test_a_key_given_twice_is_named_shortly() -> None:
    key = "k" * 10_000
    with pytest.raises(DuplicateKey) as refused:
        parse_json(f'{{"{key}": 1, "{key}": 2}}')
    assert len(str(refused.value)) < 100


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (nested(100_000), "nested too deeply"),
        ([0] * 10_001, "more than 10000 values"),
        ({"a": [[0] * 6000, [0] * 6000]}, "more than 10000 values"),
        ({"k" * 10**6: 1}, "too long"),
        ({"\ud800": 1}, "surrogate"),
        ({1: 1}, "not text"),
        ({"a": "x" * 10**6}, "longer than"),
        ([2**63], "64 bits"),
        ([float("inf")], "finite"),
        ([b"x"], "JSON cannot hold"),
    ],
)
def test_values_beyond_a_limit_are_named_by_place(value: Any, words: str) -> None:
    with pytest.raises(InvalidRecipe, match=words) as refused:
        check_plain(value, "recipe")
    assert (refused.value.field or "").startswith("recipe") and len(refused.value.detail) < 400


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=5), inner, max_size=3),
        max_leaves=20,
    )
)
def test_small_values_pass(value: Any) -> None:
    check_plain(value, "recipe")
