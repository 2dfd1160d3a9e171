"""The scoring service under an open-loop load: its capacity, latency below it, and what is left at three times as much.

`python -m benchmarks.load [--minutes 5]` starts the whole stack twice on free ports of this machine, in folders that go
away, and writes load.json beside this file; docs/serving.md shows the table. With `--together` the PRM scores together
what waits together and caches questions, as with Compose and the chart, where equal runs may differ in their last bits.
Requests arrive at random moments, whether earlier ones are answered or not, and a latency counts from the moment at
which a request was due. The load comes from this process, so on two cores it takes part of what it measures: its own
CPU-seconds are reported.
"""

import argparse
import asyncio
import base64
import hashlib
import io
import json
import os
import platform
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from benchmarks.material import images, questions, responses
from mstar.api.runs import RunCreate
from mstar.client import Client, Endpoint
from mstar.evolution import RunState
from mstar_artefacts.store import ArtefactStore
from mstar_embedded.ports import free_ports
from mstar_embedded.supervisor import Supervisor

QUESTIONS, N = 256, 4
CONNECTIONS = 16
"""Callers that send one request after the other, to find the capacity."""
RUN: dict[str, Any] = {
    "data.train": 240,
    "data.test_id": 50,
    "data.test_ood": 0,
    "warmup.questions": 96,
    "prm.questions": 48,
    "evolution.iterations": 1,
    "evolution.questions": 96,
    "exploration.mode": "fixed",
}
RESULTS = Path(__file__).with_name("load.json")


@dataclass
class Phase:
    """What came of the requests of one phase."""

    name: str
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    """Requests that got no answer at all, by the client's error."""
    answered: list[float] = field(default_factory=list)
    """Seconds from when a request was due to its scores."""
    refused: list[float] = field(default_factory=list)
    """The same to a 429 or 503."""
    late: list[float] = field(default_factory=list)
    """Seconds by which requests left later than they were due: what the load's own process could not keep up with."""
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU-seconds of the PRM and of the load."""
    megabytes: tuple[int, int] = (0, 0)
    """Resident memory of the PRM before and after."""

    @property
    def rate(self) -> float:
        """Answered requests a second."""
        return len(self.answered) / self.seconds

    def dump(self) -> dict[str, Any]:
        """As it stands in load.json; milliseconds."""
        return {
            "name": self.name,
            "seconds": round(self.seconds, 1),
            "answered_per_second": round(self.rate, 2),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "broken": dict(self.broken),
            "answered_ms": _percentiles(self.answered),
            "refused_ms": _percentiles(self.refused),
            "sent_late_ms": _percentiles(self.late),
            "cpu_seconds": {name: round(spent, 1) for name, spent in self.cpu.items()},
            "megabytes": list(self.megabytes),
        }


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return (
        {f"p{one}": round(ordered[min(len(ordered) * one // 100, len(ordered) - 1)] * 1000, 1) for one in (50, 99)}
        if ordered
        else {}
    )


class Load:
    """Sends score requests to one PRM: a question with its image inline and four responses each."""

    def __init__(self, url: str, http: aiohttp.ClientSession, bodies: Sequence[bytes]) -> None:
        self._url, self._http, self._bodies = f"{url}/v1/score", http, bodies
        self._draw = random.Random(0)
        self._processes = _prm_processes()

    async def closed(self, name: str, callers: int, seconds: float) -> Phase:
        """So many callers, each of whom sends its next request when the last is answered."""
        async with self._phase(name) as phase:
            end = time.monotonic() + seconds

            async def caller() -> None:
                while time.monotonic() < end:
                    await self._send(phase, time.monotonic())

            await asyncio.gather(*(caller() for _ in range(callers)))
        return phase

    async def open(self, name: str, rate: float, seconds: float, until: Callable[[], bool] = lambda: False) -> Phase:
        """A Poisson process of this many requests a second, for this long or until something holds."""
        async with self._phase(name) as phase:
            due, sent = time.monotonic(), set()
            end = due + seconds
            while (due := due + self._draw.expovariate(rate)) < end and not until():
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                phase.late.append(max(0.0, time.monotonic() - due))
                task = asyncio.create_task(self._send(phase, due))
                sent.add(task)
                task.add_done_callback(sent.discard)
            await asyncio.gather(*sent)
        return phase

    async def _send(self, phase: Phase, due: float) -> None:
        body = self._draw.choice(self._bodies)
        try:
            async with self._http.post(self._url, data=body, headers={"content-type": "application/json"}) as answer:
                await answer.read()
        except aiohttp.ClientError as error:
            phase.broken[type(error).__name__] += 1
            return
        phase.statuses[answer.status] += 1
        took = time.monotonic() - due
        if answer.status == 200:
            phase.answered.append(took)
        elif answer.status in (429, 503):
            phase.refused.append(took)

    def _phase(self, name: str) -> "_Measured":
        return _Measured(Phase(name), self._processes)


class _Measured:
    """Fills in what a phase took, around it."""

    def __init__(self, phase: Phase, prm: Sequence[psutil.Process]) -> None:
        self._phase, self._prm, self._own = phase, prm, [psutil.Process()]

    async def __aenter__(self) -> Phase:
        self._began, self._before = time.monotonic(), (_cpu(self._prm), _cpu(self._own))
        self._megabytes = _megabytes(self._prm)
        return self._phase

    async def __aexit__(self, *_: object) -> None:
        self._phase.seconds = time.monotonic() - self._began
        prm, own = _cpu(self._prm) - self._before[0], _cpu(self._own) - self._before[1]
        self._phase.cpu = {"prm": prm, "load": own}
        self._phase.megabytes = self._megabytes, _megabytes(self._prm)
        print(json.dumps(self._phase.dump()), flush=True)


def _cpu(processes: Sequence[psutil.Process]) -> float:
    times = [one.cpu_times() for one in processes]
    return float(sum(one.user + one.system for one in times))


def _megabytes(processes: Sequence[psutil.Process]) -> int:
    return int(sum(one.memory_info().rss for one in processes) // 2**20)


def _prm_processes() -> list[psutil.Process]:
    """The PRM of the stack that this process started: the service, and the process that computes its scores."""
    modules = (["-m", "mstar_prm"], ["-m", "mstar_prm.scorer_process"])
    return [one for one in psutil.Process().children(recursive=True) if one.cmdline()[-2:] in modules]


def score_requests() -> Iterator[bytes]:
    """JSON bodies of `POST /v1/score`."""
    for question, image, drawn in zip(questions(QUESTIONS), images(QUESTIONS), responses(QUESTIONS, N), strict=True):
        picture = io.BytesIO()
        image.save(picture, "PNG")
        yield json.dumps(
            {
                "question": question.text,
                "images": [{"data": base64.b64encode(picture.getvalue()).decode()}],
                "responses": [{"text": one.text} for one in drawn],
            }
        ).encode()


@contextmanager
def stack(folder: Path) -> Iterator[tuple[Client, str]]:
    """The whole stack with a client of its coordinator, and the PRM's address."""
    ports = free_ports()
    with Supervisor(folder, ports), Client(Endpoint(url=ports.coordinator_url)) as client:
        yield client, ports.prm_url


def start(client: Client) -> str:
    """The run that goes on beside the load."""
    return client.create_run(RunCreate(recipe="demo", overrides=RUN)).id


def ended(client: Client, run: str) -> bool:
    """Whether it has succeeded. Raises RuntimeError where it failed."""
    view = client.run(run)
    if view.state not in (RunState.RUNNING, RunState.SUCCEEDED):
        raise RuntimeError(f"the run {view.state}: {view.error}")
    return view.state is RunState.SUCCEEDED


def digest(folder: Path, run: str) -> str:
    """Of the weights of the run's last policy."""
    store = ArtefactStore(folder)
    ref = store.find(f"{run}/it01/train")
    assert ref is not None, "the run has ended"
    found = hashlib.sha256()
    for path in sorted((store.path(ref.id) / "model").glob("*.safetensors")):
        found.update(path.read_bytes())
    return found.hexdigest()


def _http() -> aiohttp.ClientSession:
    # aiohttp: a request costs a fourth of what it takes from the shared cores with httpx2, whose pool grows slow with
    # the number of its connections.
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60), connector=aiohttp.TCPConnector(limit=0))


async def phases(url: str, bodies: Sequence[bytes], minutes: float) -> list[Phase]:
    """All that is measured without a run beside it; the second phase's rate is the capacity."""
    async with _http() as http:
        load = Load(url, http, bodies)
        await load.closed("warming up", CONNECTIONS, 10)
        capacity = await load.closed("capacity", CONNECTIONS, 30)
        found = [await load.closed("one caller", 1, 30), capacity]
        found.append(await load.open("0.7 of the capacity", 0.7 * capacity.rate, 60))
        found.append(await load.open("3 times the capacity", 3 * capacity.rate, 60 * minutes))
        await asyncio.sleep(10)
        found.append(await load.closed("one caller, 10 s later", 1, 20))
    return found


async def beside(url: str, bodies: Sequence[bytes], rate: float, client: Client, run: str) -> Phase:
    """Load until a run has ended."""
    done = asyncio.create_task(asyncio.to_thread(_wait, client, run))
    async with _http() as http:
        phase = await Load(url, http, bodies).open("3 times the capacity beside a run", rate, 3600, done.done)
    await done
    return phase


def _wait(client: Client, run: str) -> None:
    while not ended(client, run):
        time.sleep(0.5)


def table(phases: Sequence[dict[str, Any]]) -> str:
    """The phases of load.json as Markdown."""
    heads = "phase | answered/s | answered ms, p50 / p99 | refused | refused ms, p50 / p99 | CPU-s of the PRM | MB"
    rows = [heads, " | ".join(["---"] * len(heads.split(" | ")))]
    for one in phases:
        refused = sum(count for status, count in one["statuses"].items() if status != "200")
        spent, (before, after) = one["cpu_seconds"]["prm"], one["megabytes"]
        times = (" / ".join(f"{value:.0f}" for value in one[kind].values()) or "-" for kind in _TIMES)
        rows.append(
            f"{one['name']} | {one['answered_per_second']:.1f} | {next(times)} | {refused:,} | {next(times)} | "
            f"{spent:.0f} of {one['seconds']:.0f} | {before}, {after}"
        )
    return "\n".join(f"| {row} |" for row in rows)


_TIMES = ("answered_ms", "refused_ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of three times the capacity")
    parser.add_argument("--together", action="store_true", help="score together what waits together; writes no file")
    asked = parser.parse_args()
    if asked.together:
        os.environ["MSTAR_PRM_DETERMINISTIC"] = "false"
    bodies = list(score_requests())
    with tempfile.TemporaryDirectory(prefix="mstar-bench-") as folder:
        alone, busy = Path(folder) / "alone", Path(folder) / "busy"
        with stack(alone) as (client, url):
            _wait(client, run := start(client))
            found = asyncio.run(phases(url, bodies, asked.minutes))
            expected = digest(alone, run)
        with stack(busy) as (client, url):
            run = start(client)
            found.append(asyncio.run(beside(url, bodies, 3 * found[1].rate, client, run)))
            same = digest(busy, run) == expected
    print("the run beside the load leaves the same weights:", same)
    written: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "phases": [phase.dump() for phase in found],
        "same_weights": same,
    }
    if not asked.together:
        RESULTS.write_text(json.dumps(written, indent=1) + "\n")
    print(table(written["phases"]))


if __name__ == "__main__":
    main()
