"""Token buckets: what may be taken over time, whatever is asked when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.rates import Bucket


@given(
    st.floats(1, 1e6),
    st.lists(st.tuples(st.floats(0, 100), st.floats(0.001, 1e4)), max_size=40),
)
def test_no_more_is_taken_than_the_quota_allows_but_for_the_last_request(
    quota: float, asked: list[tuple[float, float]]
) -> None:
    bucket, now, taken, last = Bucket.full(quota, 60, 0.0), 0.0, 0.0, 0.0
    for passed, amount in asked:
        now += passed
        if bucket.wait(now) == 0:
            bucket.spend(now, amount)
            taken, last = taken + amount, amount
        assert taken - last <= quota + now * quota / 60 + 1e-6 * quota


@given(st.floats(1, 1e6), st.floats(0, 1e7), st.floats(0, 1e4))
def test_after_the_wait_there_is_what_was_waited_for(quota: float, spent: float, amount: float) -> None:
    bucket = Bucket.full(quota, 60, 0.0)
    bucket.spend(0.0, spent)
    wait = bucket.wait(0.0, amount)
    assert bucket.wait(wait * 1.000001 + 1e-6, amount) == pytest.approx(0, abs=1e-3)


def test_a_clock_that_goes_back_fills_nothing() -> None:
    bucket = Bucket.full(60, 60, 100.0)
    bucket.spend(100.0, 60)
    assert bucket.remaining(50.0) == 0 and bucket.remaining(110.0) == 10
    assert bucket.seconds_to_full(110.0) == 50
