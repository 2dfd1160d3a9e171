"""Tests of cutting: nothing is lost, limits hold, and what belongs together stays together."""

from hypothesis import given
from hypothesis import strategies as st

from mstar_models.encoding import EncodedPrompt
from mstar_policy.hf_batches import PREFILLED_SHARE, Limits, batches, windows
from mstar_policy.hf_prefill import Opening
from mstar_policy.hf_sampling import Draw


def opening(tokens: int, samples: int = 1, answer: int = 1) -> Opening:
    draws = [Draw(0, index, 1.0, 1.0, answer) for index in range(samples)]
    return Opening(EncodedPrompt([1] * tokens), (), draws)


OPENINGS = st.builds(opening, st.integers(1, 30), st.integers(1, 9), st.integers(1, 20))
LIMITS = st.builds(Limits, st.integers(1, 20), st.integers(0, 500))


@given(st.lists(OPENINGS, max_size=20), LIMITS)
def test_batches_hold_every_opening_once_within_the_limits(openings: list[Opening], limits: Limits) -> None:
    found = list(batches(openings, limits))
    assert sorted(map(id, (one for batch in found for one in batch))) == sorted(map(id, openings))
    lengths = [len(one) for batch in found for one in batch]
    assert lengths == sorted(lengths)
    for batch in found:
        rows = sum(len(one.draws) for one in batch)
        width = max(map(len, batch)) + max(draw.max_tokens for one in batch for draw in one.draws)
        assert len(batch) == 1 or (rows <= limits.rows and rows * width <= limits.tokens)


@given(st.lists(st.lists(OPENINGS, min_size=1, max_size=6), max_size=6), LIMITS)
def test_windows_hold_every_opening_once_in_order(prompts: list[list[Opening]], limits: Limits) -> None:
    found = list(windows(enumerate(prompts), limits))
    parts = [part for window in found for part in window]
    assert [(owner, id(one)) for owner, own in parts for one in own] == [
        (owner, id(one)) for owner, own in enumerate(prompts) for one in own
    ]
    for window in found:
        openings = [one for _, own in window for one in own]
        assert len(openings) == 1 or sum(map(len, openings)) <= limits.tokens // PREFILLED_SHARE


def test_the_openings_of_a_prompt_are_cut_only_where_they_do_not_fit_alone() -> None:
    limits = Limits(tokens=40 * PREFILLED_SHARE)
    small, large = [opening(10)] * 3, [opening(10)] * 5
    found = [[(owner, len(own)) for owner, own in window] for window in windows([("a", small), ("b", large)], limits)]
    assert found == [[("a", 3)], [("b", 4)], [("b", 1)]]
