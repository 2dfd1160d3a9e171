"""Devices that only wait: engine, scorer and training step behind the real services and workers.

`python -m benchmarks.stand_ins policy|prm|trainer SECONDS`, where SECONDS is what a response, a scored response or a
trained row takes. Each is one device, so its work comes one after the other. How long it was busy, and until when, goes
into `busy-<name>` below the home. What they answer depends on the request alone.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mstar.api.policy import WeightsState
from mstar.api.steps import Claim
from mstar.errors import Unavailable, WeightVersionMismatch
from mstar.layout import STEP_SEPARATOR
from mstar.seeds import derive
from mstar.stages.train import TrainParams, TrainResult
from mstar.steps import ArtefactRef, Queue
from mstar.types import Response
from mstar_artefacts.store import ArtefactStore
from mstar_policy.engine import EnginePrompt, Generation, SamplingRequest, TokenCallback, TokenView
from mstar_policy.text import Vocabulary

if TYPE_CHECKING:
    from PIL.Image import Image

    from mstar_prm.scorer import Segments

PUSH_SECONDS = 1.0
SEGMENTS = 6
"""Different first steps that a response may have."""


def question_text(number: int) -> str:
    """A question whose answer stands in it, since the devices know nothing else."""
    return f"How many is {number}?"


class Device:
    """Waits for one piece of work at a time, and writes down for how long."""

    def __init__(self, home: Path, name: str, seconds: float) -> None:
        self._log = home / f"busy-{name}"
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._served = ""

    def weights(self) -> WeightsState:
        return WeightsState(weight_version=self._served, ready=bool(self._served), model="stand-in")

    async def load(self, ref: ArtefactRef) -> None:
        async with self._turn:
            await asyncio.sleep(PUSH_SECONDS)
            self._served = ref.version

    async def load_folder(self, folder: Path) -> None:
        self._served = folder.name

    async def computed(self, units: int, version: str | None) -> str:
        """Be busy for this many units on these weights; the weights' version."""
        async with self._turn:
            if not self._served:
                raise Unavailable("no weights are loaded")
            if version not in (None, self._served):
                raise WeightVersionMismatch(f"{self._served} is loaded, not {version}")
            await asyncio.sleep(units * self._seconds)
            self.note(units)
            return self._served

    def note(self, units: int) -> None:
        with open(self._log, "a") as log:
            log.write(f"{time.time()} {units * self._seconds}\n")

    async def sleep(self) -> None:
        """Nothing to give back."""

    async def close(self) -> None:
        """Nothing to release."""


class WaitingEngine(Device):
    """An `Engine` that is right in every second sample."""

    async def generate(self, request: SamplingRequest, on_tokens: TokenCallback | None = None) -> Generation:
        version = await self.computed(sum(prompt.n for prompt in request.prompts), request.weight_version)
        samples = tuple(tuple(_sample(prompt, place) for place in range(prompt.n)) for prompt in request.prompts)
        none = tuple(tuple(() for _ in own) for own in samples)
        return Generation(weight_version=version, samples=samples, token_logprobs=none)

    def vocabulary(self) -> Vocabulary:
        raise Unavailable("the stand-in has no tokens")

    async def see(self, prompt: EnginePrompt) -> TokenView:
        raise Unavailable("the stand-in has no tokens")


def _sample(prompt: EnginePrompt, place: int) -> Response:
    question = str(prompt.turns[-1].parts[-1]).partition("\n\nReference answer")[0]
    number = int(question.removeprefix("How many is ").removesuffix("?"))
    draw = derive(prompt.seed, place)
    step = "" if prompt.prefix else f"first {draw % SEGMENTS}\n\nthen more\n\n"
    return Response(text=f"{step}## Answer\n\n{number + (draw >> 8) % 2}", token_ids=(1, 2, 3))


class WaitingScorer(Device):
    """A `Scorer` that likes some texts more than others."""

    def __init__(self, home: Path, name: str, seconds: float) -> None:
        from mstar_prm.scorer import WorkCounts

        super().__init__(home, name, seconds)
        self.work = WorkCounts()

    async def score(
        self,
        question: str,
        images: "Sequence[Image]",
        responses: "Sequence[Segments]",
        version: str | None,
        system: str = "",
        separator: str = STEP_SEPARATOR,
    ) -> tuple[str, list[tuple[float, ...]]]:
        served = await self.computed(len(responses), version)
        return served, [tuple((derive(0, str(step)) % 1000) / 1000 for step in response) for response in responses]

    async def count_tokens(
        self,
        question: str,
        images: "Sequence[Image]",
        responses: "Sequence[Segments]",
        system: str = "",
        separator: str = STEP_SEPARATOR,
    ) -> int:
        return 0


def _serve_policy(seconds: float) -> None:
    from mstar.environment import read_settings
    from mstar_policy.app import build_app
    from mstar_policy.config import PolicySettings
    from mstar_web.serve import run

    settings = read_settings(PolicySettings)
    run(build_app(settings, WaitingEngine(settings.home, "policy", seconds)), settings)


def _serve_prm(seconds: float) -> None:
    from mstar.environment import read_settings
    from mstar_prm.app import build_app
    from mstar_prm.config import PrmSettings
    from mstar_web.serve import run

    settings = read_settings(PrmSettings)
    run(build_app(settings, WaitingScorer(settings.home, "prm", seconds)), settings)


def _train(seconds: float) -> None:
    """The trainer's queue, shards and order of rows, with a wait in place of each optimizer step."""
    from mstar_trainer.arrivals import POLL
    from mstar_trainer.batches import count_steps, plan
    from mstar_trainer.config import TrainerSettings
    from mstar_trainer.feed import Feed
    from mstar_worker.client import StepClient
    from mstar_worker.serve import work

    settings = TrainerSettings()
    coordinator, store = StepClient(settings.coordinator_url), ArtefactStore(settings.home)
    device = Device(settings.home, "trainer", seconds)

    def handle(claim: Claim, progress: Callable[[int, int], None]) -> tuple[ArtefactRef, TrainResult]:
        params, ask = claim.step.params, coordinator.follow(claim)
        assert isinstance(params, TrainParams)

        known = set(claim.inputs)

        def more() -> Any:
            found = ask().inputs
            # As the trainer: it looks while a step is computed, and again after a pause where nothing came.
            if set(found) <= known:
                time.sleep(POLL)
            known.update(found)
            return found

        feed, steps = Feed(store, claim, more), 0
        for groups in plan(feed, params.settings, claim.recipe.seed):
            rows = sum(map(len, groups))
            time.sleep(rows * seconds)
            device.note(rows)
            steps += 1
            progress(steps, count_steps(feed.expected_rows(), params.settings))
        ref = store.write(claim.output_id, lambda folder: _fill(folder, store, claim), {})
        return ref, _result(feed.rows, steps)

    work(settings.broker_url, (Queue.TRAIN,), {"train": handle}, coordinator)


def _fill(folder: Path, store: ArtefactStore, claim: Claim) -> None:
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text(claim.output_id)


def _result(rows: int, steps: int) -> TrainResult:
    return TrainResult(
        examples=rows,
        steps=steps,
        global_step=steps,
        first_loss=1.0,
        last_loss=1.0,
        losses=(1.0,) * steps,
        learning_rate=0.0,
        tokens=rows,
        seconds=0.0,
    )


if __name__ == "__main__":
    {"policy": _serve_policy, "prm": _serve_prm, "trainer": _train}[sys.argv[1]](float(sys.argv[2]))
