"""Tests of choosing tokens: the distribution, the suppressed tokens, the streams of uniforms."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mstar_policy.hf_sampling import Draw, RowSampler

VOCABULARY = 7
NONE = torch.tensor([], dtype=torch.long)


def draw(seed: int = 0, index: int = 0, temperature: float = 1.0, top_p: float = 1.0, max_tokens: int = 4) -> Draw:
    return Draw(seed, index, temperature, top_p, max_tokens)


def test_frequencies_follow_the_tempered_distribution() -> None:
    rows = 20_000
    logits = torch.linspace(-1, 1, VOCABULARY).expand(rows, -1)
    sampler = RowSampler([draw(3, index, temperature=0.7) for index in range(rows)], NONE)
    tokens, logprobs = sampler.choose(logits, 0)
    expected = torch.softmax(logits[0] / 0.7, dim=0)
    seen = torch.bincount(tokens, minlength=VOCABULARY) / rows
    assert torch.allclose(seen, expected, atol=4 * math.sqrt(0.25 / rows))
    assert torch.allclose(logprobs, expected[tokens].log(), atol=1e-5)


@given(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=VOCABULARY - 1, unique=True), st.integers(0, 99))
def test_suppressed_tokens_are_never_chosen(suppressed: list[int], seed: int) -> None:
    logits = torch.full((64, VOCABULARY), -30.0)
    logits[:, suppressed] = 30.0
    draws = [draw(seed, index, temperature=2.0 * (index % 2)) for index in range(64)]
    tokens, logprobs = RowSampler(draws, torch.tensor(suppressed)).choose(logits, 0)
    assert not set(tokens.tolist()) & set(suppressed)
    assert bool(torch.isfinite(logprobs).all())


@pytest.mark.parametrize(("top_p", "allowed"), [(0.4, {6}), (0.75, {6, 5}), (1.0, set(range(VOCABULARY)))])
def test_the_nucleus_is_the_smallest_set_that_reaches_top_p(top_p: float, allowed: set[int]) -> None:
    logits = torch.tensor([0.02, 0.03, 0.05, 0.05, 0.1, 0.25, 0.5]).log().expand(2000, -1)
    sampler = RowSampler([draw(1, index, top_p=top_p) for index in range(2000)], NONE)
    tokens, logprobs = sampler.choose(logits, 0)
    assert set(tokens.tolist()) == allowed
    if len(allowed) == 1:
        assert logprobs.abs().max() < 1e-6


def test_a_stream_is_the_same_in_any_company() -> None:
    logits = torch.zeros(1, 1000)
    alone = [RowSampler([draw(5, 2)], NONE).choose(logits, step)[0].item() for step in range(4)]
    beside = RowSampler([draw(9, 0, max_tokens=9), draw(5, 2), draw(5, 3)], NONE)
    together = [beside.choose(logits.expand(3, -1), step)[0].tolist() for step in range(4)]
    assert [tokens[1] for tokens in together] == alone
    beside.keep(torch.tensor([1]))
    assert beside.choose(logits, 3)[0].item() == alone[3]
    assert len({tuple(tokens) for tokens in zip(*together, strict=True)}) == 3


def test_greedy_rows_take_the_most_likely_token() -> None:
    logits = torch.randn(16, VOCABULARY, generator=torch.Generator().manual_seed(0))
    tokens, logprobs = RowSampler([draw(seed, temperature=0) for seed in range(16)], NONE).choose(logits, 0)
    assert tokens.tolist() == logits.argmax(dim=1).tolist()
    assert torch.allclose(logprobs, logits.log_softmax(dim=1).max(dim=1).values, atol=1e-6)


def test_a_row_without_a_nucleus_keeps_its_tail_beside_one_that_has_one() -> None:
    logits = torch.tensor([[0.0, -20.0]]).expand(2, -1)
    draws = [Draw(1, 0, 1.0, top_p, 1, likely=2) for top_p in (1.0, 0.5)]
    alone, beside = RowSampler(draws[:1], NONE), RowSampler(draws, NONE)
    alone.choose(logits[:1], 0)
    beside.choose(logits, 0)
    assert [token for token, _ in alone.likeliest(0, 2)] == [0, 1]
    assert beside.likeliest(0, 2) == alone.likeliest(0, 2)
    assert [token for token, _ in beside.likeliest(1, 2)] == [0]
