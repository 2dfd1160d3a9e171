"""How many requests are under way: more where that pays, as few as will do where it does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.concurrency import AGAIN, Concurrency


def after(concurrency: Concurrency, answers: int, seconds_each: dict[int, float], at: float = 0.0) -> float:
    """The time after so many answers of a service that takes so long for each, by how many are under way."""
    for _ in range(answers):
        at += seconds_each[concurrency.now]
        concurrency.answered(at)
    return at


@pytest.mark.parametrize(
    ("seconds_each", "found"),
    [
        ({1: 1.0, 2: 1.0}, 1),
        ({1: 1.0, 2: 0.7, 4: 0.69}, 2),
        ({1: 1.0, 2: 0.5, 4: 0.25, 8: 0.3}, 4),
        ({1: 1.0, 2: 0.5, 4: 0.25, 8: 0.12, 16: 0.06, 32: 0.03}, 32),
    ],
    ids=["one at a time", "some overlap", "batches of four", "as wide as may be"],
)
def test_it_grows_while_answers_come_faster(seconds_each: dict[int, float], found: int) -> None:
    concurrency = Concurrency()
    after(concurrency, 250, seconds_each)
    assert concurrency.now == found


def test_it_is_tried_anew_when_the_service_may_have_changed() -> None:
    concurrency = Concurrency()
    at = after(concurrency, 100, {1: 1.0, 2: 1.0})
    assert concurrency.now == 1
    after(concurrency, AGAIN + 100, {1: 1.0, 2: 0.5, 4: 0.5}, at)
    assert concurrency.now == 2


@given(st.lists(st.floats(0, 10), max_size=700), st.integers(1, 32))
def test_it_stays_within_its_bounds_whatever_the_clock_shows(waits: list[float], most: int) -> None:
    concurrency = Concurrency(most)
    at = 0.0
    for wait in waits:
        at += wait
        concurrency.answered(at)
        assert 1 <= concurrency.now <= most
