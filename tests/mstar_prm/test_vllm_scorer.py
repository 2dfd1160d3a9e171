"""The scorer on vLLM says what the scorer on transformers says, and refuses what that refuses."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from PIL import Image

from minivista import MODEL_FOLDER
from mstar.errors import InvalidInput, TooLarge, TooManyRequests, Unavailable, WeightVersionMismatch
from mstar_models.encoding import encode_segments
from mstar_models.loading import load_processor
from mstar_models.vllm_core import VllmOptions
from mstar_prm.hf_scorer import HfScorer
from mstar_prm.vllm_scorer import VllmScorer
from vllm_bench import VLLM_MARKS

pytestmark = [*VLLM_MARKS, pytest.mark.slow]
OPTIONS = VllmOptions(max_sequences=16, cpu=True, threads=1)
IMAGE = Image.new("RGB", (64, 64), (10, 120, 200))
RESPONSES = (
    ("A is 3", "Sum: 3 + 4 = 7", "## Answer\n\n7"),
    ("A is 3", "Sum: 3 + 4 = 8", "## Answer\n\n8"),
    ("It looks like 7", "## Answer\n\n7"),
)


def with_scorer(home: Path, scene: Callable[[VllmScorer], Awaitable[None]], waiting_tokens: int = 10_000) -> None:
    async def play() -> None:
        scorer = VllmScorer(home, OPTIONS, waiting_tokens=waiting_tokens)
        try:
            await scene(scorer)
        finally:
            await scorer.close()

    asyncio.run(play())


async def reference(home: Path) -> tuple[str, list[tuple[float, ...]]]:
    scorer = HfScorer(home, batch_tokens=4096, waiting_tokens=10_000)
    await scorer.load_folder(MODEL_FOLDER)
    try:
        return await scorer.score("How many?", [IMAGE], RESPONSES, None)
    finally:
        await scorer.close()


def test_scores_are_those_of_the_other_scorer(tmp_path: Path) -> None:
    async def scene(scorer: VllmScorer) -> None:
        with pytest.raises(Unavailable):
            await scorer.score("How many?", [IMAGE], RESPONSES, None)
        await scorer.load_folder(MODEL_FOLDER)
        version, scores = await scorer.score("How many?", [IMAGE], RESPONSES, None)
        expected_version, expected = await reference(tmp_path)
        assert version == expected_version == scorer.weights().weight_version
        for row, other in zip(scores, expected, strict=True):
            assert row == pytest.approx(other, abs=1e-3)
        assert scorer.work.forwards == 7, "what two responses begin with is asked once"
        with pytest.raises(WeightVersionMismatch):
            await scorer.score("How many?", [IMAGE], RESPONSES, "other@000000000000")
        with pytest.raises(InvalidInput, match="response 1 is too long"):
            await scorer.score("How many?", [IMAGE], [RESPONSES[0], ("word " * 5000,)], None)
        await scorer.sleep()
        assert not scorer.weights().ready

    with_scorer(tmp_path, scene)


def test_what_cannot_wait_is_refused(tmp_path: Path) -> None:
    _, ends = encode_segments(load_processor(MODEL_FOLDER).tokenizer, RESPONSES[2])

    async def scene(scorer: VllmScorer) -> None:
        await scorer.load_folder(MODEL_FOLDER)
        with pytest.raises(TooLarge):
            await scorer.score("How many?", [IMAGE], RESPONSES, None)
        one = RESPONSES[2:]
        first, second = (asyncio.ensure_future(scorer.score("How many?", [IMAGE], one, None)) for _ in range(2))
        with pytest.raises(TooManyRequests):
            await second
        assert len((await first)[1]) == 1

    with_scorer(tmp_path, scene, waiting_tokens=sum(ends) + 1)
