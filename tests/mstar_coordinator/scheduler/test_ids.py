"""Run ids sort by time and never hold a character that needs quoting."""

import re

from hypothesis import given
from hypothesis import strategies as st

from mstar_coordinator.scheduler.ids import new_run_id, without_ids

MOMENTS = st.floats(min_value=0, max_value=3e10)


@given(MOMENTS, MOMENTS, st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4))
def test_a_later_run_sorts_after_an_earlier_one(one: float, two: float, noise: bytes, other: bytes) -> None:
    earlier, later = sorted((one, two))
    if int(later * 1000) > int(earlier * 1000):
        assert new_run_id(earlier, noise) < new_run_id(later, other)


@given(MOMENTS, st.binary(min_size=4, max_size=4))
def test_an_id_is_a_plain_word(now: float, noise: bytes) -> None:
    assert re.fullmatch(r"r-[0-9a-z]{14}", new_run_id(now, noise))


@given(MOMENTS, st.binary(min_size=4, max_size=8), st.sampled_from("rsbf"))
def test_an_id_is_found_in_a_text_and_left_out(now: float, noise: bytes, prefix: str) -> None:
    made = new_run_id(now, noise, prefix=prefix)
    said = f"step {made}-000003 waits; /home/runs/{made} cannot be written; the job mstar-train-{made} is gone"
    assert without_ids(said) == "step … waits; /home/runs/… cannot be written; the job mstar-train-… is gone"
    assert without_ids("the database is away: r-1, run-time and e-mail stay") == (
        "the database is away: r-1, run-time and e-mail stay"
    )
