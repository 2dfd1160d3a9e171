"""What vLLM adds: caches that share, weights swapped in place, counted by the engine itself."""

import asyncio
from collections.abc import Iterator

import pytest

from mstar.api.policy import RolloutReply, RolloutRequest
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_policy.hf_engine import HfEngine
from policy_bench import picture, prompt, request, texts
from vllm_bench import VLLM_MARKS, StartedVllm

pytestmark = VLLM_MARKS
BLOCK = 32
"""Tokens of a block of the prefix cache on a CPU: only whole blocks are shared."""
LONG = "How many bars are there, and how many of them are green, and which of the three is first and which is last?"


@pytest.fixture(scope="module")
def started() -> Iterator[StartedVllm]:
    with StartedVllm() as started:
        yield started


def sample(started: StartedVllm, store: ArtefactStore, asked: RolloutRequest, shades: list[int]) -> RolloutReply:
    engine = started.vllm(store)
    return started.run(engine.generate(asked, [picture(shade) for shade in shades]))


def load(started: StartedVllm, store: ArtefactStore, ref: ArtefactRef) -> None:
    started.run(started.vllm(store).load(ref))
    started.run(started.vllm(store).encoder_runs())


@pytest.fixture
def warmed(started: StartedVllm, store: ArtefactStore, warm: ArtefactRef, newer: ArtefactRef) -> StartedVllm:
    """The engine with `warm` loaded and nothing in its caches."""
    load(started, store, newer)
    load(started, store, warm)
    return started


def test_both_engines_give_the_same_greedy_response(
    started: StartedVllm, store: ArtefactStore, warm: ArtefactRef, newer: ArtefactRef
) -> None:
    """After a swap as well: a part that kept its old weights would show here."""
    asked = request(prompt(temperature=0), prompt(LONG, temperature=0, prefix="There are three.\n\n"), max_tokens=10)

    async def expected(ref: ArtefactRef) -> list[list[str]]:
        engine = HfEngine(store, threads=1)
        await engine.load(ref)
        reply = await engine.generate(asked, [picture(9), picture(70)])
        await engine.close()
        return texts(reply)

    for ref in (warm, newer, warm):
        load(started, store, ref)
        assert texts(sample(started, store, asked, [9, 70])) == asyncio.run(expected(ref))


def test_all_samples_and_temperatures_share_one_image_and_one_prefix(warmed: StartedVllm, store: ArtefactStore) -> None:
    sweep = [prompt(LONG, n=4, temperature=0.3 + 0.1 * place, seed=place) for place in range(14)]
    reply = sample(warmed, store, request(*sweep, max_tokens=2), [5] * 14)
    assert warmed.run(warmed.vllm(store).encoder_runs()) == 1
    whole = sample(warmed, store, request(prompt("Another?", temperature=0), max_tokens=1), [6]).usage.prompt_tokens
    # Of each prompt but the first only what fills no whole block is computed again.
    assert reply.usage.prompt_tokens < whole + 60 + 14 * BLOCK


def test_completions_of_a_prefix_share_the_image(warmed: StartedVllm, store: ArtefactStore) -> None:
    steps = ["There are three bars.\n\n", "There are three bars.\n\nTwo of them are green.\n\n"]
    prompts = [prompt(LONG, n=3, prefix=prefix, seed=place) for place, prefix in enumerate(steps)]
    sample(warmed, store, request(*prompts, max_tokens=2), [8, 8])
    assert warmed.run(warmed.vllm(store).encoder_runs()) == 1


def test_more_prompts_than_one_step_holds_keep_their_seeds(warmed: StartedVllm, store: ArtefactStore) -> None:
    asked = request(*(prompt(f"Which is number {place}?", n=8, seed=place) for place in range(80)), max_tokens=4)
    reply = sample(warmed, store, asked, list(range(80)))
    alone = sample(warmed, store, request(asked.prompts[70], max_tokens=4), [70])
    assert texts(alone)[0] == texts(reply)[70]


def test_a_swap_drops_what_the_old_weights_filled(
    warmed: StartedVllm, store: ArtefactStore, newer: ArtefactRef
) -> None:
    asked = request(prompt(LONG, temperature=0), max_tokens=1)
    first = sample(warmed, store, asked, [5]).usage.prompt_tokens
    again = sample(warmed, store, asked, [5]).usage.prompt_tokens
    assert again < first
    load(warmed, store, newer)
    assert sample(warmed, store, asked, [5]).usage.prompt_tokens == first
    assert warmed.run(warmed.vllm(store).encoder_runs()) == 1
