"""What the scorer on vLLM does when a request fails and when the engine dies or comes too late."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from PIL import Image

from fake_core import FakeCores
from minivista import MODEL_FOLDER
from mstar.errors import InvalidInput, Unavailable
from mstar_models.vllm_core import VllmOptions
from mstar_prm.vllm_scorer import VllmScorer
from vllm_bench import VLLM_MARKS

pytestmark = VLLM_MARKS
IMAGE = Image.new("RGB", (64, 64), (10, 120, 200))
STEPS = ("A is 3", "## Answer\n\n3")


def play(home: Path, scene: Callable[[VllmScorer, FakeCores], Awaitable[None]], start_seconds: float = 30.0) -> None:
    async def run() -> None:
        cores = FakeCores()
        scorer = VllmScorer(home, VllmOptions(cpu=True), waiting_tokens=1000, make=cores, start_seconds=start_seconds)
        try:
            await scene(scorer, cores)
        finally:
            cores.may_go_on.set()
            await scorer.close()

    asyncio.run(run())


async def score(scorer: VllmScorer) -> tuple[float, ...]:
    (scores,) = (await scorer.score("How many?", [IMAGE], [STEPS], None))[1]
    return scores


def test_a_request_that_fails_leaves_the_scorer_ready(tmp_path: Path) -> None:
    from vllm.exceptions import VLLMValidationError

    async def scene(scorer: VllmScorer, cores: FakeCores) -> None:
        await scorer.load_folder(MODEL_FOLDER)
        (core,) = cores.made
        core.failures["generate"] = VLLMValidationError("too wide")
        with pytest.raises(InvalidInput, match="too wide") as found:
            await score(scorer)
        assert found.value.field == "responses"
        assert scorer.weights().ready
        core.failures.clear()
        assert await score(scorer) == pytest.approx((0.731, 0.731), abs=1e-3)

    play(tmp_path, scene)


def test_an_engine_that_dies_serves_nothing_until_a_load_replaces_it(tmp_path: Path) -> None:
    from vllm.v1.engine.exceptions import EngineDeadError

    async def scene(scorer: VllmScorer, cores: FakeCores) -> None:
        await scorer.load_folder(MODEL_FOLDER)
        (core,) = cores.made
        core.failures["generate"] = EngineDeadError()
        with pytest.raises(Unavailable, match="the engine died: load weights again"):
            await score(scorer)
        core.errored = True
        assert not scorer.weights().ready
        with pytest.raises(Unavailable, match="no weights are loaded"):
            await score(scorer)
        await scorer.load_folder(MODEL_FOLDER)
        assert core.ended.is_set() and len(cores.made) == 2
        assert scorer.weights().ready and len(await score(scorer)) == 2

    play(tmp_path, scene)


def test_an_engine_that_died_unasked_is_ended_by_a_sleep(tmp_path: Path) -> None:
    async def scene(scorer: VllmScorer, cores: FakeCores) -> None:
        await scorer.load_folder(MODEL_FOLDER)
        cores.made[0].errored = True
        assert not scorer.weights().ready and scorer.weights().weight_version == ""
        await scorer.sleep()
        assert cores.made[0].ended.is_set()

    play(tmp_path, scene)


def test_an_engine_that_starts_too_late_never_serves(tmp_path: Path) -> None:
    async def scene(scorer: VllmScorer, cores: FakeCores) -> None:
        cores.may_go_on.clear()
        with pytest.raises(Unavailable, match="starting the engine took more than"):
            await scorer.load_folder(MODEL_FOLDER)
        assert not scorer.weights().ready
        cores.may_go_on.set()
        await scorer.load_folder(MODEL_FOLDER)
        late, inside = cores.made
        assert await asyncio.to_thread(late.ended.wait, 30)
        assert scorer.weights().ready and not inside.ended.is_set() and late.version == ""

    play(tmp_path, scene, start_seconds=1.0)


def test_tokens_without_rows_are_refused_and_the_old_engine_serves_on(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(MODEL_FOLDER, tmp_path / "grown"))
    found = json.loads((folder / "tokenizer.json").read_text())
    found["added_tokens"].append(found["added_tokens"][-1] | {"id": 474, "content": "<think>", "special": False})
    (folder / "tokenizer.json").write_text(json.dumps(found))

    async def scene(scorer: VllmScorer, cores: FakeCores) -> None:
        await scorer.load_folder(MODEL_FOLDER)
        with pytest.raises(InvalidInput, match=r"has token '<think>' with id 474, and the model has rows for 474"):
            await scorer.load_folder(folder)
        assert len(await score(scorer)) == 2 and len(cores.made) == 1

    play(tmp_path, scene)
