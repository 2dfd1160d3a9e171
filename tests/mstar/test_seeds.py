"""Derived seeds and orders. The fixed values must never change: a run is only repeatable while they hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.seeds import derive, permutation, take


def test_values_are_the_same_everywhere() -> None:
    assert derive(0) == 7520536977032167579
    assert derive(7, "iteration", "minivista/train/000001", 3) == 1172274345596525619
    assert permutation(8, 7) == [0, 4, 1, 6, 5, 3, 2, 7]


@given(st.integers(0, 2**31), st.lists(st.text(max_size=5) | st.integers(0, 9), max_size=4))
def test_seeds_have_63_bits_and_depend_on_every_part(seed: int, parts: list[str | int]) -> None:
    value = derive(seed, *parts)
    assert 0 <= value < 2**63
    assert len({value, derive(seed + 1, *parts), derive(seed, *parts, "more"), derive(seed, "more", *parts, "x")}) == 4


def test_parts_do_not_run_together() -> None:
    assert derive(1, "a", "b") != derive(1, "ab")
    assert derive(1, 1) != derive(1, "1")


@given(st.integers(0, 60), st.integers(0, 2**31))
def test_permutation_holds_each_place_once(n: int, seed: int) -> None:
    assert sorted(permutation(n, seed)) == list(range(n))


@given(st.integers(1, 20), st.integers(0, 50), st.integers(0, 30), st.integers(0, 30))
def test_shares_join_and_wrap_around(n: int, start: int, first: int, second: int) -> None:
    order = permutation(n, 3)
    assert take(order, start, first) + take(order, start + first, second) == take(order, start, first + second)
    assert take(order, n, first) == take(order, 0, first)


def test_nothing_can_be_taken_from_nothing() -> None:
    with pytest.raises(ValueError, match="cannot take 1 items"):
        take((), 0, 1)
    with pytest.raises(ValueError, match="from place -1"):
        take((1, 2), -1, 1)
