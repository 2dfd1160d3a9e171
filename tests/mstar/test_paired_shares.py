"""The paired interval against published examples, and its properties for any table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.paired_shares import paired_difference


def marks(both: int, first: int, second: int, neither: int) -> tuple[list[int], list[int]]:
    pairs = [(1, 1)] * both + [(1, 0)] * first + [(0, 1)] * second + [(0, 0)] * neither
    return [one for one, _ in pairs], [other for _, other in pairs]


# Newcombe, Statistics in Medicine 17 (1998), table III, method 10.
@pytest.mark.parametrize(
    ("table", "low", "high"),
    [((36, 12, 2, 0), 5.69, 34.04), ((36, 14, 0, 0), 15.28, 41.67)],
)
def test_the_interval_is_that_of_the_paper(table: tuple[int, int, int, int], low: float, high: float) -> None:
    found = paired_difference(*marks(*table))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60))
def test_the_interval_holds_its_difference_and_turns_with_it(pairs: list[tuple[int, int]]) -> None:
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    found, turned = paired_difference(one, other), paired_difference(other, one)
    assert -100 - 1e-9 <= found.low <= found.points + 1e-9 and found.points - 1e-9 <= found.high <= 100 + 1e-9
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_more_questions_narrow_it_and_none_is_refused() -> None:
    few, many = paired_difference(*marks(5, 4, 1, 5)), paired_difference(*marks(50, 40, 10, 50))
    assert many.high - many.low < few.high - few.low and many.questions == 150
    with pytest.raises(ValueError, match="not a share"):
        paired_difference([], [])
