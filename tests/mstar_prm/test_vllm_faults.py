"""What the scorer on vLLM does when a request fails, when the engine dies, and when one starts too late."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from minivista import MODEL_FOLDER
from mstar.errors import InvalidInput, Unavailable
from mstar_models.vllm_core import VllmOptions
from mstar_prm.vllm_scorer import VllmScorer
from vllm_bench import VLLM_MARKS

pytestmark = VLLM_MARKS
IMAGE = Image.new("RGB", (64, 64), (10, 120, 200))
STEPS = ("A is 3", "## Answer\n\n3")


class Core:
    """An engine without a model: to each request the same answer, or the failure that it is told to have."""

    model_config = SimpleNamespace(max_model_len=256)

    def __init__(self) -> None:
        self.errored = False
        self.failure: Exception | None = None
        self.version = ""
        self.ended = threading.Event()
        self.engine_core = SimpleNamespace(resources=SimpleNamespace(ctx=self))

    def destroy(self, linger: int) -> None:
        """Nothing: it has no sockets."""

    async def update_weight_version(self, version: str) -> None:
        self.version = version

    async def generate(self, asked: dict[str, Any], sampling: Any, name: str) -> AsyncIterator[Any]:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        good, bad = (SimpleNamespace(logprob=value) for value in (-0.5, -1.5))
        found = dict(zip(sampling.logprob_token_ids, (good, bad), strict=True))
        outputs = [SimpleNamespace(logprobs=[found])]
        yield SimpleNamespace(num_cached_tokens=0, prompt_token_ids=asked["prompt_token_ids"], outputs=outputs)

    def shutdown(self, timeout: float) -> None:
        self.errored = True
        self.ended.set()


class Cores:
    """Starts engines, none before it is let."""

    def __init__(self) -> None:
        self.made: list[Core] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, folder: Path, options: VllmOptions) -> Core:
        core = Core()
        self.made.append(core)
        assert self.may_go_on.wait(30)
        return core


def play(
    home: Path, scene: Callable[[VllmScorer, Cores], Awaitable[None]], cores: Cores, start_seconds: float = 30.0
) -> None:
    async def run() -> None:
        options = VllmOptions(cpu=True)
        scorer = VllmScorer(home, options, waiting_tokens=1000, make=cores, start_seconds=start_seconds)
        try:
            await scene(scorer, cores)
        finally:
            cores.may_go_on.set()
            await scorer.close()

    asyncio.run(run())


async def score(scorer: VllmScorer) -> tuple[float, ...]:
    (scores,) = (await scorer.score("How many?", IMAGE, [STEPS], None))[1]
    return scores


def test_a_request_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    from vllm.exceptions import VLLMValidationError
    from vllm.v1.engine.exceptions import EngineGenerateError

    failed = EngineGenerateError()
    failed.__cause__ = ValueError("an odd picture")

    async def scene(scorer: VllmScorer, cores: Cores) -> None:
        await scorer.load_folder(MODEL_FOLDER)
        (core,) = cores.made
        for failure, told, words in (
            (failed, Unavailable, "an odd picture"),
            (VLLMValidationError("too wide"), InvalidInput, "too wide"),
        ):
            core.failure = failure
            with pytest.raises(told, match=words):
                await score(scorer)
            assert scorer.weights().ready and not core.ended.is_set()
            core.failure = None
            assert await score(scorer) == pytest.approx((0.731, 0.731), abs=1e-3)

    play(tmp_path, scene, Cores())


def test_an_engine_that_dies_serves_nothing_until_a_load_replaces_it(tmp_path: Path) -> None:
    from vllm.v1.engine.exceptions import EngineDeadError

    async def scene(scorer: VllmScorer, cores: Cores) -> None:
        await scorer.load_folder(MODEL_FOLDER)
        (core,) = cores.made
        core.failure, core.errored = EngineDeadError(), True
        with pytest.raises(Unavailable):
            await score(scorer)
        assert not scorer.weights().ready
        await scorer.load_folder(MODEL_FOLDER)
        assert core.ended.is_set() and len(cores.made) == 2
        assert scorer.weights().ready and len(await score(scorer)) == 2

    play(tmp_path, scene, Cores())


def test_an_engine_that_dies_under_a_request_says_so(tmp_path: Path) -> None:
    from vllm.v1.engine.exceptions import EngineDeadError

    async def scene(scorer: VllmScorer, cores: Cores) -> None:
        await scorer.load_folder(MODEL_FOLDER)
        cores.made[0].failure = EngineDeadError()
        with pytest.raises(Unavailable, match="the engine died: load weights again"):
            await score(scorer)

    play(tmp_path, scene, Cores())


def test_an_engine_that_died_while_nobody_asked_is_not_ready(tmp_path: Path) -> None:
    async def scene(scorer: VllmScorer, cores: Cores) -> None:
        await scorer.load_folder(MODEL_FOLDER)
        assert scorer.weights().ready
        cores.made[0].errored = True
        assert not scorer.weights().ready and scorer.weights().weight_version == ""
        with pytest.raises(Unavailable, match="no weights are loaded"):
            await score(scorer)
        await scorer.sleep()
        assert cores.made[0].ended.is_set()

    play(tmp_path, scene, Cores())


def test_an_engine_that_starts_too_late_is_shut_down_and_never_serves(tmp_path: Path) -> None:
    async def scene(scorer: VllmScorer, cores: Cores) -> None:
        cores.may_go_on.clear()
        with pytest.raises(Unavailable, match="starting the engine took more than"):
            await scorer.load_folder(MODEL_FOLDER)
        assert not scorer.weights().ready
        cores.may_go_on.set()
        late = cores.made[0]
        assert await asyncio.to_thread(late.ended.wait, 30)
        assert not scorer.weights().ready and late.version == ""
        await scorer.load_folder(MODEL_FOLDER)
        assert scorer.weights().ready and not cores.made[1].ended.is_set()

    play(tmp_path, scene, Cores(), start_seconds=1.0)


def test_a_load_that_is_given_up_leaves_no_engine(tmp_path: Path) -> None:
    async def scene(scorer: VllmScorer, cores: Cores) -> None:
        cores.may_go_on.clear()
        load = asyncio.ensure_future(scorer.load_folder(MODEL_FOLDER))
        while not cores.made:
            await asyncio.sleep(0.001)
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
        cores.may_go_on.set()
        assert await asyncio.to_thread(cores.made[0].ended.wait, 30)
        assert not scorer.weights().ready

    play(tmp_path, scene, Cores())
