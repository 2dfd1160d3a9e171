"""Steps of the time of day are told from time that passes."""

from hypothesis import given
from hypothesis import strategies as st

from mstar_coordinator.batches.clock_jumps import LEAST_SECONDS, ClockJumps


class Hand:
    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


def test_small_steps_are_noticed_once_they_are_a_minute_together() -> None:
    hand = Hand()
    jumps = ClockJumps(hand)
    assert [jumps.moved(1000.0 + step) for step in (0, 25, 50, 75, 76)] == [0, 0, 0, 75, 0]


def test_a_step_that_somebody_else_has_answered_is_not_noticed_again() -> None:
    jumps = ClockJumps(Hand())
    jumps.moved(1000.0)
    jumps.forget()
    assert [jumps.moved(5000.0), jumps.moved(9000.0)] == [0, 4000]


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(-100_000, 100_000)), max_size=30))
def test_what_was_noticed_differs_from_all_steps_by_less_than_a_minute(looks: list[tuple[int, int]]) -> None:
    hand = Hand()
    jumps = ClockJumps(hand)
    day, put, noticed = 1000.0, 0.0, jumps.moved(1000.0)
    for passed, step in looks:
        hand.now += passed
        day += passed + step
        put += step
        noticed += jumps.moved(day)
        assert abs(put - noticed) < LEAST_SECONDS
