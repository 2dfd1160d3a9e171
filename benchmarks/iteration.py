"""One whole iteration: our processes against one script of transformers and TRL."""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
import torch

from benchmarks.material import THREADS, images, questions
from benchmarks.measure import PAIRS, Row, best_of, by_cost, compare, cpu_of, sized
from benchmarks.practitioner import Script
from mstar.api.runs import RunCreate
from mstar.client import Client, Endpoint
from mstar.evolution import RunState
from mstar_embedded.ports import Ports, free_ports
from mstar_embedded.supervisor import Supervisor

QUESTIONS, N = sized((200, 8), (20, 4))
SAMPLE_ROWS, SCORE_ROWS = sized(((64, 128, 256, 512), (32, 64, 128)), ((64,), (32,)))
SETTINGS = {
    "data.train": QUESTIONS * (PAIRS + 3),
    "data.validation": 1,
    "data.test_id": 1,
    "data.test_ood": 0,
    "warmup.questions": 20,
    "prm.questions": 20,
    "prm.n": 2,
    "prm.completions": 2,
    "prm.balance": False,
    "evolution.iterations": 1,
    "evolution.questions": QUESTIONS,
    "evolution.n": N,
    "generation.shard_questions": QUESTIONS // 2,
    "evolution.train.micro_tokens": 2048,
    "exploration.mode": "fixed",
    "exploration.questions": 1,
    "evaluation.n": 1,
    "evaluation.k": 1,
}
ENGINES = ("policy", "prm", "trainer")


class Stack:
    """An embedded run that is asked for one more iteration at a time.

    An iteration ends with its checkpoint. What an extended run does then, evaluation and publishing, is not measured.
    """

    def __init__(
        self, client: Client, supervisor: Supervisor, ports: Ports, settings: dict[str, Any], look_seconds: float = 0.2
    ) -> None:
        """`look_seconds`: between two looks for the checkpoint, each of which costs the coordinator some work."""
        self.client, self.supervisor, self._ports = client, supervisor, ports
        self._look_seconds = look_seconds
        self.run = client.create_run(RunCreate(recipe="demo", overrides=settings)).id
        self._number = 1
        self._seen: str | None = None
        self._finish()
        self.shares: list[tuple[float, float, float]] = []
        """CPU-seconds of engines, of coordinator and broker, and of the workers, for each iteration."""

    def iteration(self) -> dict[str, float]:
        before, done = self._cpu(), self._counted()
        self._number += 1
        began = time.perf_counter()
        self.client.extend(self.run, 1)
        self._await_checkpoint()
        wall = time.perf_counter() - began
        spent = {name: used - before[name] for name, used in self._cpu().items()}
        engines = sum(spent[name] for name in ENGINES)
        service = spent["coordinator"] + spent["broker"]
        workers = sum(used for name, used in spent.items() if name.startswith("worker"))
        self.shares.append((engines, service, workers))
        work = {name: count - done[name] for name, count in self._counted().items()}
        self._finish()
        made = self.client.results(self.run).iterations[-1]
        return {"cpu": sum(spent.values()), "wall": wall, "responses": made.responses, "kept": made.kept} | work

    def _counted(self) -> dict[str, float]:
        """Tokens and images of sampling and scoring so far, as the services tell Prometheus."""
        lines = [
            line.split()
            for url in (self._ports.policy_url, self._ports.prm_url)
            for line in httpx2.get(f"{url}/metrics").text.splitlines()
        ]
        return {
            what: sum(float(line[-1]) for line in lines if line[0].startswith(names))
            for what, names in (
                ("tokens", ("mstar_policy_tokens_total", 'mstar_prm_work_total{kind="tokens"}')),
                ("images", ("mstar_policy_images_total", 'mstar_prm_work_total{kind="images"}')),
            )
        }

    def _cpu(self) -> dict[str, float]:
        return {name: cpu_of(pid) for name, pid in self.supervisor.pids().items()}

    def _await_checkpoint(self) -> None:
        while True:
            page = self.client.events(self.run, self._seen, 500)
            self._seen = page.last_id or self._seen
            if any(
                event.type == "step.committed" and event.step == f"it{self._number:02d}/train" for event in page.data
            ):
                return
            if any(event.type == "run.failed" for event in page.data):
                raise RuntimeError("the measured run failed")
            time.sleep(self._look_seconds)

    def _finish(self) -> None:
        while True:
            run = self.client.run(self.run)
            if run.state in (RunState.SUCCEEDED, RunState.FAILED):
                break
            time.sleep(0.5)
        if run.state is RunState.FAILED:
            raise RuntimeError(f"the measured run failed: {run.error}")


def run() -> list[Row]:
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory(prefix="mstar-bench-") as home:
        ports = free_ports()
        endpoint = Endpoint(url=ports.coordinator_url, prm_url=ports.prm_url)
        with Supervisor(Path(home), ports) as supervisor, Client(endpoint) as client:
            stack = Stack(client, supervisor, ports, SETTINGS)
            script = _script()
            turn = 0

            def theirs() -> dict[str, float]:
                nonlocal turn
                turn += 1
                share = slice((turn - 1) * QUESTIONS, turn * QUESTIONS)
                whole = QUESTIONS * (PAIRS + 1)
                return script.iteration(questions(whole)[share], images(whole)[share])

            pairs = compare(stack.iteration, theirs)
    against = (
        f"transformers + TRL in one process, {script.sample_rows} rows sampled and {script.score_rows} scored at once"
    )
    shares = [statistics.median(parts) for parts in zip(*stack.shares, strict=True)]
    counted = {
        "responses": pairs.median("ours", "responses"),
        "kept": pairs.median("ours", "kept"),
        "kept, other": pairs.median("other", "kept"),
        "CPU-s of the engines": shares[0],
        "CPU-s of coordinator and queue": shares[1],
        "CPU-s of the workers": shares[2],
    }
    note = "up to the checkpoint, which ours writes; tokens and images are those of sampling and scoring"
    return [by_cost("one whole iteration", pairs, against, 1.5, counted=counted, note=note)]


def _script() -> Script:
    """At the batch sizes that cost it least."""
    trial = questions(QUESTIONS)[:64], images(QUESTIONS)[:64]
    sampling = {rows: Script(N, rows, 64) for rows in SAMPLE_ROWS}
    rows = best_of({size: lambda one=one: {"n": len(one.sample(*trial))} for size, one in sampling.items()})  # type: ignore[misc]
    texts = sampling[rows].sample(*trial)
    pairs = [(place, text) for place, own in enumerate(texts) for text in own if text.strip()]
    scoring = {size: Script(N, rows, size) for size in SCORE_ROWS}
    best = best_of({size: lambda one=one: {"n": len(one.score(*trial, pairs))} for size, one in scoring.items()})  # type: ignore[misc]
    return scoring[best]
