"""Rollout requests at the service: a prompt that the model does not take is its own problem only."""

import asyncio
from pathlib import Path

import pytest
from PIL import Image

from mstar.api.images import ImageInput
from mstar.api.policy import RolloutReply
from mstar.errors import InvalidInput
from mstar.steps import ArtefactRef
from mstar_artefacts.images import ImageStore
from mstar_artefacts.store import ArtefactStore
from mstar_models.images import ImageGate
from mstar_policy.engine import Engine
from mstar_policy.hf_engine import HfEngine
from mstar_policy.rollouts import Rollouts
from policy_bench import png, prompt, request

LONG = "How many bars are there? " * 200


def sampled(tmp_path: Path, store: ArtefactStore, warm: ArtefactRef, *questions: str, **fields: object) -> RolloutReply:
    """The reply to one prompt for each question, from a real engine with a context of 256 tokens."""

    async def play() -> RolloutReply:
        engine: Engine = HfEngine(store)
        images = ImageStore(tmp_path / "images")
        try:
            await engine.load(warm)
            asked = request(*(prompt(text, images=[{"sha256": images.put(png())}]) for text in questions), **fields)
            return await Rollouts(engine, ImageGate(), images, 64).sample(asked)
        finally:
            await engine.close()

    return asyncio.run(play())


def test_prompts_that_are_too_long_are_named_and_the_others_sampled(
    tmp_path: Path, store: ArtefactStore, warm: ArtefactRef
) -> None:
    reply = sampled(tmp_path, store, warm, LONG, "How many bars?", LONG + "?", "Which?", logprobs=True)
    alone = sampled(tmp_path, store, warm, "How many bars?", "Which?", logprobs=True)
    assert [one.index for one in reply.refused] == [0, 2]
    assert all("the model's context is" in one.detail for one in reply.refused)
    assert reply.samples == ((), alone.samples[0], (), alone.samples[1])
    assert reply.token_logprobs is not None and alone.token_logprobs is not None
    assert reply.token_logprobs == ((), alone.token_logprobs[0], (), alone.token_logprobs[1])
    assert alone.refused == ()


def test_a_request_of_nothing_else_is_refused(tmp_path: Path, store: ArtefactStore, warm: ArtefactRef) -> None:
    with pytest.raises(InvalidInput, match="the model's context is"):
        sampled(tmp_path, store, warm, LONG, LONG)


class CountingGate(ImageGate):
    """Counts the images that it is asked for."""

    asked = 0

    def resolve(self, image: ImageInput, store: ImageStore) -> Image.Image:
        self.asked += 1
        return super().resolve(image, store)


def test_images_are_decoded_once_however_many_prompts_are_refused(
    tmp_path: Path, store: ArtefactStore, warm: ArtefactRef
) -> None:
    gate = CountingGate()

    async def play() -> None:
        engine: Engine = HfEngine(store)
        images = ImageStore(tmp_path / "images")
        try:
            await engine.load(warm)
            shown = [{"sha256": images.put(png())}]
            asked = request(*(prompt(text, images=shown) for text in (LONG, LONG + "?", "Which?")))
            rollouts = Rollouts(engine, gate, images, 64)
            assert [one.index for one in (await rollouts.sample(asked)).refused] == [0, 1]
            assert rollouts.rows == 0
        finally:
            await engine.close()
            gate.close()

    asyncio.run(play())
    assert gate.asked == 1
