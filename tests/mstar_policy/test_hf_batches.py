"""Tests of grouping: nothing is lost, limits hold, and what belongs together stays together."""

from hypothesis import given
from hypothesis import strategies as st

from mstar_models.encoding import EncodedPrompt
from mstar_policy.hf_batches import (
    LEAST_CACHE_BYTES,
    PREFILLED_SHARE,
    USUAL_CACHE_BYTES,
    Limits,
    Memory,
    batches,
    cache_budget,
    windows,
)
from mstar_policy.hf_prefill import PromptPrefix
from mstar_policy.hf_sampling import Draw


def prompt_prefix(tokens: int, samples: int = 1, answer: int = 1) -> PromptPrefix:
    draws = [Draw(0, index, 1.0, 1.0, answer) for index in range(samples)]
    return PromptPrefix(EncodedPrompt([1] * tokens), (), draws)


PREFIXES = st.builds(prompt_prefix, st.integers(1, 30), st.integers(1, 9), st.integers(1, 20))
LIMITS = st.builds(Limits, st.integers(1, 20), st.integers(0, 500))


@given(st.lists(PREFIXES, max_size=20), LIMITS)
def test_batches_hold_every_prefix_once_within_the_limits(prefixes: list[PromptPrefix], limits: Limits) -> None:
    found = list(batches(prefixes, limits))
    assert sorted(map(id, (one for batch in found for one in batch))) == sorted(map(id, prefixes))
    lengths = [len(one) for batch in found for one in batch]
    assert lengths == sorted(lengths)
    for batch in found:
        rows = sum(len(one.draws) for one in batch)
        width = max(map(len, batch)) + max(draw.max_tokens for one in batch for draw in one.draws)
        assert len(batch) == 1 or (rows <= limits.rows and rows * width <= limits.tokens)


@given(st.lists(st.lists(PREFIXES, min_size=1, max_size=6), max_size=6), LIMITS)
def test_windows_hold_every_prefix_once_in_order(prompts: list[list[PromptPrefix]], limits: Limits) -> None:
    found = list(windows(enumerate(prompts), limits))
    parts = [part for window in found for part in window]
    assert [(owner, id(one)) for owner, own in parts for one in own] == [
        (owner, id(one)) for owner, own in enumerate(prompts) for one in own
    ]
    for window in found:
        prefixes = [one for _, own in window for one in own]
        assert len(prefixes) == 1 or sum(map(len, prefixes)) <= limits.tokens // PREFILLED_SHARE


def test_the_prefixes_of_a_prompt_are_split_only_where_they_do_not_fit_alone() -> None:
    limits = Limits(tokens=40 * PREFILLED_SHARE)
    small, large = [prompt_prefix(10)] * 3, [prompt_prefix(10)] * 5
    found = [[(owner, len(own)) for owner, own in window] for window in windows([("a", small), ("b", large)], limits)]
    assert found == [[("a", 3)], [("b", 4)], [("b", 1)]]


def test_the_operators_word_on_memory_holds_and_a_cpu_has_a_fixed_size() -> None:
    assert cache_budget(5, Memory(free=10, total=80), 0.9) == 5
    assert cache_budget(None, None, 0.9) == USUAL_CACHE_BYTES


@given(st.integers(1, 2**40), st.floats(0, 1), st.floats(0.05, 0.95))
def test_a_batch_and_what_comes_next_fit_in_what_the_weights_leave(total: int, used: float, share: float) -> None:
    free = int(total * (1 - used))
    budget = cache_budget(None, Memory(free, total), share)
    room = share * total - (total - free)
    assert budget == LEAST_CACHE_BYTES or budget * (1 + 1 / PREFILLED_SHARE) <= 0.75 * room + 4


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 20))
def test_a_load_after_the_first_has_the_memory_of_the_first(old: int, new: int, kept: int) -> None:
    """Gigabytes of an 80 GB card: the old weights and what the allocator `kept` are there while the new ones load."""
    first = Memory.beside(new, free=80 - new, reserved=new, total=80)
    held = old + new + kept
    later = Memory.beside(new, free=80 - held, reserved=held, total=80)
    assert first == later == Memory(free=80 - new, total=80)


def test_memory_of_others_stays_theirs() -> None:
    assert Memory.beside(10, free=40, reserved=15, total=80) == Memory(free=45, total=80)


def test_an_8_b_model_on_80_gb_decodes_far_more_together_than_a_gigabyte_holds() -> None:
    giga = 10**9
    assert cache_budget(None, Memory(free=62 * giga, total=80 * giga), 0.9) == 27 * giga
