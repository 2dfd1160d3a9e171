"""How much memory a decode batch may take beside the weights."""

from hypothesis import given
from hypothesis import strategies as st

from mstar_policy.hf_batches import PREFILLED_SHARE
from mstar_policy.hf_memory import LEAST_CACHE_BYTES, USUAL_CACHE_BYTES, DecodeMemory, cache_budget


def test_the_operators_word_on_memory_holds_and_a_cpu_has_a_fixed_size() -> None:
    assert cache_budget(5, DecodeMemory(free=10, total=80), 0.9) == 5
    assert cache_budget(None, None, 0.9) == USUAL_CACHE_BYTES


@given(st.integers(1, 2**40), st.floats(0, 1), st.floats(0.05, 0.95))
def test_a_batch_and_what_comes_next_fit_in_what_the_weights_leave(total: int, used: float, share: float) -> None:
    free = int(total * (1 - used))
    budget = cache_budget(None, DecodeMemory(free, total), share)
    room = share * total - (total - free)
    assert budget == LEAST_CACHE_BYTES or budget * (1 + 1 / PREFILLED_SHARE) <= 0.75 * room + 4


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 20))
def test_a_load_after_the_first_has_the_memory_of_the_first(old: int, new: int, kept: int) -> None:
    """Gigabytes of an 80 GB card: the old weights and what the allocator `kept` are there while the new ones load."""
    first = DecodeMemory.beside(new, free=80 - new, reserved=new, total=80)
    held = old + new + kept
    later = DecodeMemory.beside(new, free=80 - held, reserved=held, total=80)
    assert first == later == DecodeMemory(free=80 - new, total=80)


def test_memory_of_others_stays_theirs() -> None:
    assert DecodeMemory.beside(10, free=40, reserved=15, total=80) == DecodeMemory(free=45, total=80)


def test_an_8_b_model_on_80_gb_decodes_far_more_together_than_a_gigabyte_holds() -> None:
    giga = 10**9
    assert cache_budget(None, DecodeMemory(free=62 * giga, total=80 * giga), 0.9) == 27 * giga
