"""Lists in whatever brackets, and never a bracket that has a meaning."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mstar.answers import answer_of, check
from mstar.types import Answer, AnswerType

KINDS = ("[]", "()", "{}")
Nested = st.recursive(st.integers(-99, 99), lambda inner: st.lists(inner, min_size=2, max_size=3), max_leaves=8)
Lists = st.lists(Nested, min_size=2, max_size=4)


def verdict(kind: AnswerType, gold: str, said: str) -> bool:
    return check(f"## Answer\n\n{said}", Answer(type=kind, value=gold)).correct


def written(value: Any, bracket: Callable[[], str], space: Callable[[], str]) -> str:
    if not isinstance(value, list):
        return str(value)
    start, end = bracket()
    inner = f"{space()},{space()}".join(written(one, bracket, space) for one in value)
    return f"{start}{space()}{inner}{space()}{end}"


@settings(max_examples=40)
@given(value=Lists, data=st.data())
def test_any_brackets_and_spaces_say_the_same_list(value: list[Any], data: st.DataObject) -> None:
    said = written(value, lambda: data.draw(st.sampled_from(KINDS)), lambda: data.draw(st.sampled_from(("", " "))))
    assert verdict(AnswerType.LIST, str(value), said)
    other = [*value[:-1], 1000]
    assert not verdict(AnswerType.LIST, str(other), said)
    assert not verdict(AnswerType.LIST, str([*value, 5]), said)


@settings(max_examples=40)
@given(value=Lists, kinds=st.permutations("[({"))
def test_brackets_that_do_not_belong_together_are_no_list(value: list[Any], kinds: list[str]) -> None:
    ends = {"[": "]", "(": ")", "{": "}"}
    said = str(value)
    assert not verdict(AnswerType.LIST, said, f"{kinds[0]}{said[1:-1]}{ends[kinds[1]]}")


@settings(max_examples=40)
@given(low=st.integers(-50, 50), width=st.integers(1, 50), kinds=st.permutations(("[]", "()", "[)", "(]")))
def test_brackets_of_an_interval_count(low: int, width: int, kinds: list[str]) -> None:
    gold, other = (f"{kind[0]}{low}, {low + width}{kind[1]}" for kind in kinds[:2])
    assert verdict(AnswerType.MATH, gold, gold.replace(" ", ""))
    assert not verdict(AnswerType.MATH, gold, other)


@pytest.mark.parametrize(
    ("gold", "said", "correct"),
    [
        ("[2, 5]", "(2,5)", True),
        ("[2, 5]", "\\left( 2, 5 \\right)", True),
        ("[2, 5]", "$\\{2, 5\\}$", True),
        ("[2, 5]", "(5, 2)", False),
        ("[2, 5]", "(2, 5", False),
        ("[2, 5]", "2, 5)", False),
        ("[2, 5]", "(2, 5) or (5, 2)", False),
        ("[[1, 2], [3, 4]]", "(1, 2), (3, 4)", True),
        ("[[1, 2], [3, 4]]", "(1, 2) and (3, 4)", True),
        ("[[1, 2], [3, 4]]", "(1, 3), (2, 4)", False),
        ("[[1, 2], [3, 4]]", "[(1, 2], (3, 4)]", False),
        ("['a)', \"it's (\"]", "['a)', \"it's (\"]", True),
        ("['red', 'blue']", "don't, won't", False),
    ],
)
def test_traps(gold: str, said: str, correct: bool) -> None:
    assert verdict(AnswerType.LIST, gold, said) is correct


def test_a_bracketed_answer_with_an_infinity_is_an_interval_and_no_list() -> None:
    for gold, other in (("[3, ∞]", "(3, ∞)"), ("[-\\infty, \\infty]", "(-\\infty, \\infty)")):
        answer = answer_of({"question": "q", "answer": gold})
        assert answer.type is AnswerType.MATH
        assert check(f"## Answer\n\n{gold}", answer).correct and not check(f"## Answer\n\n{other}", answer).correct
    assert answer_of({"question": "q", "answer": "[5, 2]"}).type is AnswerType.LIST


def test_two_numbers_in_square_brackets_that_rise_may_be_a_closed_interval() -> None:
    answer = answer_of({"question": "q", "answer": "[2, 5]"})
    for said, right in (("[2, 5]", True), ("2, 5", True), ("[2.0, 5]", True), ("(2, 5)", False), ("(2, 5]", False)):
        assert check(f"## Answer\n\n{said}", answer).correct is right, said
    listed = answer_of({"question": "q", "answer": "[2, 5]", "answer_type": "list"})
    assert listed.type is AnswerType.LIST and check("## Answer\n\n(2, 5)", listed).correct
