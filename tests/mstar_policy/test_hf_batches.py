"""Tests of grouping: nothing is lost, limits hold, and what belongs together stays together."""

from hypothesis import given
from hypothesis import strategies as st

from mstar_models.encoding import EncodedPrompt
from mstar_policy.hf_batches import PREFILLED_SHARE, BatchLimits, batches, windows
from mstar_policy.hf_prefill import PromptPrefix
from mstar_policy.hf_sampling import Draw


def prompt_prefix(tokens: int, samples: int = 1, answer: int = 1) -> PromptPrefix:
    draws = [Draw(0, index, 1.0, 1.0, answer) for index in range(samples)]
    return PromptPrefix(EncodedPrompt([1] * tokens), (), draws)


PREFIXES = st.builds(prompt_prefix, st.integers(1, 30), st.integers(1, 9), st.integers(1, 20))
LIMITS = st.builds(BatchLimits, st.integers(1, 20), st.integers(0, 500))


@given(st.lists(PREFIXES, max_size=20), LIMITS)
def test_batches_hold_every_prefix_once_within_the_limits(prefixes: list[PromptPrefix], limits: BatchLimits) -> None:
    found = list(batches(prefixes, limits))
    assert sorted(map(id, (one for batch in found for one in batch))) == sorted(map(id, prefixes))
    lengths = [len(one) for batch in found for one in batch]
    assert lengths == sorted(lengths)
    for batch in found:
        rows = sum(len(one.draws) for one in batch)
        width = max(map(len, batch)) + max(draw.max_tokens for one in batch for draw in one.draws)
        assert len(batch) == 1 or (rows <= limits.rows and rows * width <= limits.tokens)


@given(st.lists(st.lists(PREFIXES, min_size=1, max_size=6), max_size=6), LIMITS)
def test_windows_hold_every_prefix_once_in_order(prompts: list[list[PromptPrefix]], limits: BatchLimits) -> None:
    found = list(windows(enumerate(prompts), limits))
    parts = [part for window in found for part in window]
    assert [(owner, id(one)) for owner, own in parts for one in own] == [
        (owner, id(one)) for owner, own in enumerate(prompts) for one in own
    ]
    for window in found:
        prefixes = [one for _, own in window for one in own]
        assert len(prefixes) == 1 or sum(map(len, prefixes)) <= limits.tokens // PREFILLED_SHARE


def test_the_prefixes_of_a_prompt_are_split_only_where_they_do_not_fit_alone() -> None:
    limits = BatchLimits(tokens=40 * PREFILLED_SHARE)
    small, large = [prompt_prefix(10)] * 3, [prompt_prefix(10)] * 5
    found = [[(owner, len(own)) for owner, own in window] for window in windows([("a", small), ("b", large)], limits)]
    assert found == [[("a", 3)], [("b", 4)], [("b", 1)]]
