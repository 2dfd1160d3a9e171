"""An iteration as a pipeline: how near its time comes to that of its slowest device, where each stage has its own.

Coordinator, queue, workers and services are real processes; the devices behind them only wait (`stand_ins`). Stages are
made equally long, which is the hardest case: nothing hides behind the slowest one.
"""

import io
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.measure import PAIRS, Row, sized
from benchmarks.stand_ins import PUSH_SECONDS, question_text
from mstar.api.runs import RunCreate
from mstar.client import Client, Endpoint
from mstar.evolution import RunState
from mstar_embedded.ports import Ports, free_ports
from mstar_embedded.processes import ProcessSpec, stack
from mstar_embedded.supervisor import Supervisor

QUESTIONS, N, SHARD = sized((192, 8, 8), (16, 8, 8))
SECONDS = {"policy": 0.018, "prm": 0.063, "trainer": 0.073}
"""For a response, a scored response and a trained row; about 28 seconds an iteration for each device."""
SETTINGS: dict[str, Any] = {
    "data.validation": 1,
    "data.test_id": 1,
    "data.test_ood": 0,
    "generation.shard_questions": SHARD,
    "warmup.questions": 8,
    "warmup.train.batch_size": 16,
    "prm.questions": 8,
    "prm.n": 2,
    "prm.completions": 2,
    "prm.balance": False,
    "evolution.questions": QUESTIONS,
    "evolution.n": N,
    "evolution.train.batch_size": 16,
    "exploration.mode": "fixed",
    "exploration.questions": 1,
    "evaluation.n": 1,
    "evaluation.k": 1,
}


@dataclass(frozen=True)
class Iteration:
    """Seconds from one checkpoint to the next, and how long each device was busy in between."""

    wall: float
    busy: Mapping[str, float]

    @property
    def bound(self) -> float:
        """What separate devices cannot beat: the slowest stage, and the new weights on their way to the policy."""
        return max(self.busy.values()) + PUSH_SECONDS


def run() -> list[Row]:
    streamed, waited = measure(PAIRS, streaming=True), measure(1, streaming=False)
    ratio = statistics.median(one.wall / one.bound for one in streamed)
    mine, bound = (statistics.median(getattr(one, name) for one in streamed) for name in ("wall", "bound"))
    counted = {
        "wall s without streaming": statistics.median(one.wall for one in waited),
        "sum of the stages, s": statistics.median(sum(one.busy.values()) + PUSH_SECONDS for one in streamed),
    } | {f"{name} busy, s": statistics.median(one.busy[name] for one in streamed) for name in SECONDS}
    return [
        Row(
            "an iteration as a pipeline",
            mine,
            bound,
            1 / ratio,
            ">= 0.90 of the bound",
            ratio <= 1 / 0.9,
            len(streamed),
            "wall s",
            "the slowest of its devices, and the push of the weights",
            {"ours": {"wall": mine}, "other": {"wall": bound}},
            counted,
            f"devices that wait; {QUESTIONS // SHARD} shards, of which the first overlaps with nothing; the bound is "
            "of the same iterations",
        )
    ]


def measure(count: int, *, streaming: bool) -> list[Iteration]:
    """So many iterations after a first one, whose beginning the other phases blur."""
    settings = SETTINGS | {"data.train": QUESTIONS * (count + 1), "evolution.iterations": count + 1}
    with tempfile.TemporaryDirectory(prefix="mstar-bench-") as folder:
        home, data = Path(folder) / "home", Path(folder) / "data"
        _write_questions(data, settings["data.train"])
        ports = free_ports()
        specs = _specs(home, Path(folder) / "b.sock", streaming=streaming)
        with Supervisor(home, ports, specs=specs(ports)), Client(Endpoint(url=ports.coordinator_url)) as client:
            run_id = client.create_run(RunCreate(recipe="demo", overrides=settings | {"data.source": str(data)})).id
            while client.run(run_id).state is RunState.RUNNING:
                time.sleep(0.5)
            if (ended := client.run(run_id)).state is not RunState.SUCCEEDED:
                raise RuntimeError(f"the measured run failed: {ended.error}")
            trained = _committed(client, run_id, count + 1)
        return [
            Iteration(end - begin, {name: _busy(home / f"busy-{name}", begin, end) for name in SECONDS})
            for begin, end in pairwise(trained)
        ]


def _specs(home: Path, broker: Path, *, streaming: bool) -> Callable[[Ports], list[ProcessSpec]]:
    """The embedded stack with devices that wait, and two workers a queue, so that no device waits for a worker."""

    def answers() -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(broker))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def changed(spec: ProcessSpec) -> list[ProcessSpec]:
        if spec.name in SECONDS:
            command = (sys.executable, "-m", "benchmarks.stand_ins", spec.name, str(SECONDS[spec.name]))
            return [replace(spec, command=command)]
        if spec.name == "coordinator":
            own = {"STREAM_TRAINING": str(streaming).lower(), "DATA_ROOT": str(home.parent)}
            return [replace(spec, env={**spec.env, **{f"MSTAR_COORDINATOR_{key}": own[key] for key in own}})]
        return [spec, replace(spec, name=f"{spec.name}-2")] if spec.name.startswith("worker") else [spec]

    return lambda ports: [one for spec in stack(home, ports, broker, answers) for one in changed(spec)]


def _committed(client: Client, run_id: str, iterations: int) -> list[float]:
    """When the checkpoint of each iteration was there."""
    found: dict[str | None, float] = {}
    after: str | None = None
    more = True
    while more:
        page = client.events(run_id, after, 500)
        found |= {event.step: event.at for event in page.data if event.type == "step.committed"}
        after, more = page.last_id, page.has_more
    return [found[f"it{number:02d}/train"] for number in range(1, iterations + 1)]


def _busy(log: Path, begin: float, end: float) -> float:
    lines = [line.split() for line in log.read_text().splitlines()]
    return sum(float(seconds) for at, seconds in lines if begin < float(at) <= end)


def _write_questions(folder: Path, count: int) -> None:
    sizes = {"train": count, "validation": 1, "test_id": 1, "test_ood": 0}
    number = 0
    for split, size in sizes.items():
        (folder / split).mkdir(parents=True)
        rows = []
        for _ in range(size):
            number += 1
            picture = io.BytesIO()
            Image.new("RGB", (8, 8), (number % 256, number // 256 % 256, 7)).save(picture, "PNG")
            (folder / split / f"{number}.png").write_bytes(picture.getvalue())
            rows.append({"file_name": f"{number}.png", "question": question_text(number), "answer": number})
        (folder / split / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
