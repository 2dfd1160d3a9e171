"""Tests of the prefix that prompts share, of what is computed on top of it, and of pixels of several shapes."""

from typing import Any

import pytest
import torch

from architectures import idefics3
from mstar_models.encoding import EncodedPrompt, PromptEncoder
from mstar_policy.hf_attention import use_grouped_attention
from mstar_policy.hf_decoding import Continuation, Decoder
from mstar_policy.hf_prefill import PromptPrefix, shared_prefix
from mstar_policy.hf_sampling import Draw
from policy_bench import picture

PREFIXES = ((9, 10), (9, 10, 11, 12, 13), (9, 10, 11, 30, 31, 32, 33), (), (40,), (9, 10, 11))


def prompt_prefixes(prompt: EncodedPrompt, prefixes: tuple[tuple[int, ...], ...], seed: int = 0) -> list[PromptPrefix]:
    draws = [[Draw(seed + place, index, 1.0 * (index % 2), 1.0, 8) for index in range(3)] for place in range(9)]
    return [PromptPrefix(prompt, prefix, own) for prefix, own in zip(prefixes, draws, strict=False)]


@pytest.mark.parametrize(
    ("prefixes", "common", "complete", "cost"),
    [
        (((),), (), 1, 4),
        (((1, 2),), (1, 2), 1, 6),
        (((1, 2), (1, 2, 3)), (1, 2), 1, 7),
        (((1, 2, 4), (1, 2, 3)), (1, 2), 0, 8),
        (((), (1,), (1, 2, 3)), (), 1, 8),
    ],
)
def test_the_shared_prefix_is_all_that_prefixes_begin_with(
    prefixes: tuple[tuple[int, ...], ...], common: tuple[int, ...], complete: int, cost: int
) -> None:
    shared = shared_prefix(prompt_prefixes(EncodedPrompt([5, 6, 7, 8]), prefixes))
    assert (shared.response, len(shared.complete), shared.cost, len(shared)) == (
        common,
        complete,
        cost,
        4 + len(common),
    )


def same(found: list[list[Continuation]], expected: list[list[Continuation]]) -> None:
    for samples, others in zip(found, expected, strict=True):
        for sample, other in zip(samples, others, strict=True):
            assert sample.token_ids == other.token_ids
            assert sample.logprobs == pytest.approx(other.logprobs, abs=1e-3)


def test_what_is_shared_changes_no_sample(random_model: tuple[Any, PromptEncoder]) -> None:
    model, prompts = random_model
    use_grouped_attention(model)
    decoder = Decoder(model, range(60, 70), [])
    first, second = (prompts.encode("How many?", [picture(shade)]) for shade in (10, 240))
    todo = [
        prompt_prefixes(first, PREFIXES),
        prompt_prefixes(second, PREFIXES[1:3], seed=7),
        prompt_prefixes(second, PREFIXES[:1]),
    ]
    for drawn, own in zip(decoder.run(todo), todo, strict=True):
        alone = [decoder.run([[prefix]])[0] for prefix in own]
        same(drawn.samples, [one.samples[0] for one in alone])
        assert drawn.computed <= sum(one.computed for one in alone) - (len(own) - 1) * len(own[0].prompt.input_ids)


def test_prompts_with_pixels_of_several_shapes_are_decoded_together() -> None:
    torch.manual_seed(3)
    model, prompts = idefics3()
    one = prompts.encode("How many?", [picture(90)])
    token = model.config.image_token_id
    # As large images are: several tiles, each with its place holders.
    tiles = [place for place in one.input_ids for _ in range(2 if place == token else 1)]
    two = EncodedPrompt(tiles, {key: torch.cat([value, value], dim=1) for key, value in one.pixels.items()})
    decoder = Decoder(model.eval(), [], [])
    todo = [prompt_prefixes(prompt, PREFIXES[:2]) for prompt in (two, one, two)]
    for drawn, own in zip(decoder.run(todo), todo, strict=True):
        same(drawn.samples, decoder.run([own])[0].samples)
