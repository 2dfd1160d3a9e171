"""The scorer in a process of its own says what the scorer in this process says; its end is everybody's who waits."""

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
import uvloop
from PIL import Image

import prm_service
from mstar.errors import InvalidInput, NotFound, Unavailable, WeightVersionMismatch
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_embedded.ports import free_ports
from mstar_prm.config import PrmSettings
from mstar_prm.scorer import Scorer
from mstar_prm.scorer_process import transformers_scorer
from mstar_prm.separate_scorer import SeparateScorer
from warm_starts import COLD_PYTHON

PICTURE = Image.effect_noise((64, 48), 80).convert("RGB")
RESPONSES = (("A is 3", "3 + 4 = 7", "## Answer\n\n7"), ("It is 8", "## Answer\n\n8"))
Found = TypeVar("Found")


@asynccontextmanager
async def closed(scorer: Scorer) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await scorer.close()


def separate(home: Path, ended: Callable[[], None] = lambda: None) -> SeparateScorer:
    return SeparateScorer(PrmSettings(home=home, deterministic=True), ended)


def process_of(scorer: SeparateScorer) -> "subprocess.Popen[bytes]":
    assert scorer._process is not None
    return scorer._process


def test_scores_weights_and_counted_work_are_those_of_the_scorer_itself(store: ArtefactStore, prm: ArtefactRef) -> None:
    async def talk(scorer: Scorer) -> tuple[object, ...]:
        async with closed(scorer):
            with pytest.raises(Unavailable, match="no weights are loaded"):
                await scorer.score("How many?", [PICTURE], RESPONSES, None)
            await scorer.load(prm)
            scores = await scorer.score("How many?", [PICTURE], RESPONSES, prm.version)
            counted = await scorer.count_tokens("How many?", [PICTURE], RESPONSES)
            return scores, counted, scorer.weights(), scorer.work

    settings = PrmSettings(home=store.root, deterministic=True)
    assert asyncio.run(talk(separate(store.root))) == asyncio.run(talk(transformers_scorer(settings)))


def test_many_at_once_each_get_their_own(store: ArtefactStore, prm: ArtefactRef) -> None:
    questions = [f"How many of {place}?" for place in range(40)]

    async def talk(scorer: SeparateScorer) -> tuple[list[object], list[object]]:
        async with closed(scorer):
            await scorer.load(prm)
            together = await asyncio.gather(*(scorer.score(one, [PICTURE], RESPONSES, None) for one in questions))
            return list(together), [await scorer.score(one, [PICTURE], RESPONSES, None) for one in questions]

    together, alone = asyncio.run(talk(separate(store.root)))
    assert together == alone
    assert len(set(map(str, together))) == len(questions)


def test_errors_keep_their_kind_and_field(store: ArtefactStore, prm: ArtefactRef) -> None:
    async def talk(scorer: SeparateScorer) -> None:
        async with closed(scorer):
            with pytest.raises(NotFound):
                await scorer.load(prm.model_copy(update={"id": "r9/prm/train"}))
            with pytest.raises(InvalidInput, match=r"config\.json"):
                await scorer.load_folder(store.root)
            await scorer.load(prm)
            with pytest.raises(WeightVersionMismatch) as other:
                await scorer.score("How many?", [PICTURE], RESPONSES, "another@1")
            assert other.value.field == "model_version"
            with pytest.raises(InvalidInput, match="is too long") as long:
                await scorer.score("How many?", [PICTURE], [RESPONSES[0], ("word " * 5000,)], None)
            assert long.value.field == "responses.1"
            assert scorer.weights().ready

    asyncio.run(talk(separate(store.root)))


def test_asleep_it_has_no_weights_and_a_load_wakes_it(store: ArtefactStore, prm: ArtefactRef) -> None:
    async def talk(scorer: SeparateScorer) -> tuple[bool, bool, bool]:
        async with closed(scorer):
            await scorer.load(prm)
            before = scorer.weights().ready
            await scorer.sleep()
            asleep = scorer.weights().ready
            await scorer.load(prm)
            return before, asleep, scorer.weights().ready

    assert asyncio.run(talk(separate(store.root))) == (True, False, True)


def test_what_nobody_waits_for_is_not_computed(store: ArtefactStore, prm: ArtefactRef) -> None:
    async def talk(scorer: SeparateScorer) -> tuple[int, int]:
        async with closed(scorer):
            await scorer.load(prm)
            calls = [
                asyncio.create_task(scorer.score(f"How many of {place}?", [PICTURE], RESPONSES, None))
                for place in range(200)
            ]
            await calls[0]
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            # The process takes messages in order, so this answer follows all that was given up.
            await scorer.score("How many?", [PICTURE], RESPONSES, None)
            return scorer.work.forwards, sum(not call.cancelled() for call in calls)

    forwards, answered = asyncio.run(talk(separate(store.root)))
    assert answered <= forwards - 1 < 200


def test_its_death_is_told_at_once_and_no_score_comes_any_more(store: ArtefactStore, prm: ArtefactRef) -> None:
    told: list[str] = []

    async def talk(scorer: SeparateScorer) -> None:
        async with closed(scorer):
            await scorer.load(prm)
            calls = [scorer.score(f"How many of {place}?", [PICTURE], RESPONSES, None) for place in range(200)]
            waiting = [asyncio.create_task(call) for call in calls]
            await waiting[0]
            process_of(scorer).kill()
            with pytest.raises(Unavailable, match=r"has ended \(SIGKILL\): send this again"):
                await asyncio.wait_for(waiting[-1], 30)
            ends = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
            assert all(isinstance(end, tuple | Unavailable) for end in ends)
            assert not scorer.weights().ready
            await _until(lambda: told == ["ended"])
            with pytest.raises(Unavailable):
                await scorer.load(prm)

    asyncio.run(talk(separate(store.root, lambda: told.append("ended"))))
    assert told == ["ended"]


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_it_ends_with_the_service_that_closes_it_and_is_not_taken_for_dead(
    loop: Callable[[], asyncio.AbstractEventLoop], store: ArtefactStore, prm: ArtefactRef
) -> None:
    """Told to finish what runs, and killed where nothing can run yet, which may be in the middle of an import."""
    told: list[str] = []

    async def talk(scorer: SeparateScorer, ask: Callable[[SeparateScorer], Awaitable[None]]) -> int | None:
        async with closed(scorer):
            scorer.start()
            await ask(scorer)
        return process_of(scorer).returncode

    async def nothing(scorer: SeparateScorer) -> None:
        """Closed before anything was asked."""

    async def loaded(scorer: SeparateScorer) -> None:
        await scorer.load(prm)

    # What is left open is an error at the end of a loop.
    with asyncio.Runner(loop_factory=loop) as runner:
        for ask, code in ((loaded, 0), (SeparateScorer.sleep, -signal.SIGKILL), (nothing, -signal.SIGKILL)):
            assert runner.run(talk(separate(store.root, lambda: told.append("ended")), ask)) == code
    assert told == []


@pytest.mark.parametrize("killed", ["service", "scorer"])
def test_when_one_of_the_two_is_killed_the_other_ends(killed: str, store: ArtefactStore, prm: ArtefactRef) -> None:
    environment = prm_service.environment(
        MSTAR_PRM_PORT=str(free_ports().prm), MSTAR_PRM_MODEL=str(store.path(prm.id) / "model")
    )
    command = [COLD_PYTHON, "-m", "mstar_prm"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as service:
        own = psutil.Process(service.pid)
        try:
            scorer = _scorer_of(own)
            (scorer if killed == "scorer" else own).kill()
            assert service.wait(60) == (-signal.SIGTERM if killed == "scorer" else -signal.SIGKILL)
            scorer.wait(60)
        finally:
            service.kill()
        assert service.stdout is not None
        log = service.stdout.read().decode()
    assert ("the scorer process has ended: this service stops" in log) == (killed == "scorer")


def _scorer_of(service: psutil.Process) -> psutil.Process:
    deadline = time.monotonic() + 60
    while not (found := [one for one in service.children() if "mstar_prm.scorer_process" in one.cmdline()]):
        assert time.monotonic() < deadline, "no scorer process has appeared"
        time.sleep(0.05)
    return found[0]


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.01)
