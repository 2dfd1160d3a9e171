"""One iteration of the paper's size through queue, database and artefact store, with engines that answer at once.

`python -m benchmarks.scale [RESPONSES …]` writes scale.json and scale.md beside this file. Coordinator, broker and
workers are the real processes; policy and PRM are `scale_engines`, and the trainer reads its rows and takes no step
(`stand_ins`).
MSTAR_BENCH_DATABASE names a database to use instead of SQLite.
"""

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import redis
from sqlalchemy import create_engine, text

from benchmarks.gpu_sharing import DECODE_RATE, RESPONSE_TOKENS
from benchmarks.measure import cpu_of
from benchmarks.scale_engines import CORRECT_SHARE, TOKENS
from benchmarks.stand_ins import question_text
from mstar.api.runs import RunCreate
from mstar.client import Client, Endpoint
from mstar.evolution import RunState
from mstar_coordinator.store.tables import metadata
from mstar_embedded.ports import free_ports
from mstar_embedded.processes import ProcessSpec, stack
from mstar_embedded.supervisor import Supervisor

SAMPLES = 16
"""Responses of a question in the recipe `paper`."""
SIZES = (10_000, 72_000, 720_000)
GPUS = 64
PRODUCED = GPUS * DECODE_RATE / RESPONSE_TOKENS
"""Responses a second of GPUs that do nothing but sample a 7 B model; over a whole iteration it is lower."""
IMAGES = 1000
"""Different images; questions share them, as in the paper's data."""
ENGINES = ("policy", "prm", "trainer")
RESULTS = Path(__file__).with_name("scale.json")


@dataclass(frozen=True)
class Measured:
    """One iteration of this many responses."""

    responses: int
    database: str
    seconds: float
    """From the end of the step before it to the commit of its training."""
    kept: int
    steps: int
    """Of the whole run, most of them the iteration's."""
    database_bytes: int
    broker_bytes: int
    """Highest memory that the broker's values took."""
    artefact_bytes: int
    memory: dict[str, int]
    """Highest resident bytes of each process."""
    cpu: dict[str, float]
    """CPU-seconds of each process."""
    publish_seconds: float
    cores: int
    python: str
    """Where it was measured."""

    @property
    def rate(self) -> float:
        return self.responses / self.seconds

    @property
    def own_cpu(self) -> float:
        """CPU-seconds of all processes but the stand-ins."""
        return sum(used for name, used in self.cpu.items() if name not in ENGINES)


def measure(responses: int, database: str | None) -> Measured:
    questions = responses // SAMPLES
    with tempfile.TemporaryDirectory(prefix="mstar-scale-") as folder:
        home, data, broker = Path(folder) / "home", Path(folder) / "data", Path(folder) / "b.sock"
        _write_questions(data, questions)
        ports = free_ports()
        specs = [_changed(spec, home, database) for spec in stack(home, ports, broker, broker.exists)]
        with (
            _emptied(database),
            Supervisor(home, ports, specs=specs) as supervisor,
            Client(Endpoint(url=ports.coordinator_url)) as client,
        ):
            overrides = _recipe(questions) | {"data.source": str(data)}
            run_id = client.create_run(RunCreate(recipe="paper", overrides=overrides)).id
            watch = Watch(supervisor, broker)
            watch.until(client, run_id, "prm")
            watch.begin()
            watch.until(client, run_id, "sft")
            cpu = watch.end()
            while client.run(run_id).state is RunState.RUNNING:
                time.sleep(0.5)
            if (ended := client.run(run_id)).state is not RunState.SUCCEEDED:
                raise RuntimeError(f"the measured run failed: {ended.error}")
            committed = _committed(client, run_id)
            iteration = client.results(run_id).iterations[0]
            size = _database_bytes(home, database)
        return Measured(
            responses=iteration.responses,
            database="PostgreSQL" if database else "SQLite",
            seconds=committed["it01/train"] - committed["reward/train"],
            kept=iteration.kept,
            steps=len(committed),
            database_bytes=size,
            broker_bytes=watch.broker_bytes,
            artefact_bytes=_size(home / run_id / "it01"),
            memory=watch.memory,
            cpu=cpu,
            publish_seconds=committed["publish/01"] - committed["it01/train"],
            cores=os.cpu_count() or 1,
            python=platform.python_version(),
        )


class Watch:
    """Looks at the processes and the broker while an iteration runs."""

    def __init__(self, supervisor: Supervisor, broker: Path) -> None:
        self._supervisor = supervisor
        self._pids = supervisor.pids()
        self._broker = redis.Redis(unix_socket_path=str(broker))
        self._before: dict[str, float] = {}
        self.memory: dict[str, int] = {}
        self.broker_bytes = 0

    def begin(self) -> None:
        self._before = {name: cpu_of(pid) for name, pid in self._pids.items()}

    def until(self, client: Client, run_id: str, objective: str) -> None:
        """Wait for the checkpoint of an objective."""
        while objective not in {checkpoint.objective for checkpoint in client.checkpoints(run_id).data}:
            problem = self._supervisor.failure or client.run(run_id).error
            if problem:
                raise RuntimeError(f"the measured run failed: {problem}")
            self._look()
            time.sleep(1.0)

    def _look(self) -> None:
        for name, pid in self._pids.items():
            self.memory[name] = max(self.memory.get(name, 0), int(psutil.Process(pid).memory_info().rss))
        self.broker_bytes = max(self.broker_bytes, int(self._broker.info("memory")["used_memory"]))

    def end(self) -> dict[str, float]:
        self._broker.close()
        return {name: cpu_of(pid) - self._before[name] for name, pid in self._pids.items()}


def _recipe(questions: int) -> dict[str, Any]:
    """The paper's recipe with one iteration of this many questions, and hardly anything before and after it."""
    return {
        "data.train": questions,
        "data.validation": 1,
        "data.test_id": 1,
        "data.test_ood": 0,
        "model.base": "builtin:minivista",
        "warmup": None,
        "prm.questions": 1,
        "prm.n": 1,
        "prm.completions": 1,
        "prm.balance": False,
        "evolution.iterations": 1,
        "evolution.questions": questions,
        "exploration.mode": "fixed",
        "exploration.questions": 1,
        "evaluation.n": 1,
        "evaluation.k": 1,
    }


def _changed(spec: ProcessSpec, home: Path, database: str | None) -> ProcessSpec:
    if spec.name in ("policy", "prm"):
        return replace(spec, command=(sys.executable, "-m", "benchmarks.scale_engines", spec.name))
    if spec.name == "trainer":
        return replace(spec, command=(sys.executable, "-m", "benchmarks.stand_ins", "trainer", "0"))
    if spec.name == "coordinator":
        own = {"DATA_ROOT": str(home.parent)} | ({"DATABASE_URL": database} if database else {})
        return replace(spec, env={**spec.env, **{f"MSTAR_COORDINATOR_{key}": own[key] for key in own}})
    return spec


def _write_questions(folder: Path, questions: int) -> None:
    number = 0
    for split, size in {"train": questions, "validation": 1, "test_id": 1}.items():
        (folder / split).mkdir(parents=True)
        for place in range(min(IMAGES, size)):
            # Nothing here decodes an image.
            (folder / split / f"{place}.png").write_bytes(b"\x89PNG" + split.encode() + place.to_bytes(4, "big"))
        rows = []
        for place in range(size):
            number += 1
            name = f"{place % IMAGES}.png"
            rows.append({"file_name": name, "question": question_text(number), "answer": number})
        (folder / split / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))


def _committed(client: Client, run_id: str) -> dict[str, float]:
    """When each step was committed."""
    found: dict[str, float] = {}
    after: str | None = None
    more = True
    while more:
        page = client.events(run_id, after, 500)
        found |= {event.step: event.at for event in page.data if event.type == "step.committed" and event.step}
        after, more = page.last_id, page.has_more
    return found


@contextmanager
def _emptied(database: str | None) -> Iterator[None]:
    """The database without tables, before and after."""
    engine = create_engine(database) if database else None
    if engine:
        metadata.drop_all(engine)
    try:
        yield
    finally:
        if engine:
            metadata.drop_all(engine)
            engine.dispose()


def _database_bytes(home: Path, database: str | None) -> int:
    if database is None:
        return sum(path.stat().st_size for path in (home / ".mstar").glob("mstar.sqlite*"))
    engine = create_engine(database)
    with engine.connect() as connection:
        tables = "'" + "','".join(metadata.tables) + "'"
        query = f"SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE relname IN ({tables})"
        size = int(connection.execute(text(query)).scalar_one())
    engine.dispose()
    return size


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


# --- the page


def report(found: list[dict[str, Any]]) -> str:
    """The Markdown page of everything measured so far."""
    rows = [Measured(**one) for one in found]
    return "\n\n".join((_head(rows), _table(rows), _processes(rows), _verdict(rows))) + "\n"


def _head(rows: list[Measured]) -> str:
    cores, python = (" and ".join(sorted({str(getattr(row, key)) for row in rows})) for key in ("cores", "python"))
    return f"""# One iteration through queue, database and artefact store

`python -m benchmarks.scale` on {cores} cores shared with other work, Python {python}. Real broker, coordinator and one
worker for each queue; policy, PRM and trainer answer at once and share the same cores. A response has {TOKENS} tokens
and about 900 characters, and {CORRECT_SHARE:.0%} are correct. Own CPU is that of broker, coordinator and workers,
without a database server's."""


def _table(rows: list[Measured]) -> str:
    head = (
        "| responses | stored in | s | responses/s | own CPU ms/response | rows kept | database | broker | artefacts "
        "| publish s |\n|---|---|---|---|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(
        f"| {row.responses:,} | {row.database} | {row.seconds:.1f} | {row.rate:,.0f} "
        f"| {1000 * row.own_cpu / row.responses:.2f} | {row.kept:,} | {row.database_bytes / 1e6:.1f} MB "
        f"| {row.broker_bytes / 1e6:.2f} MB | {row.artefact_bytes / 1e6:,.0f} MB | {row.publish_seconds:.1f} |"
        for row in rows
    )


def _processes(rows: list[Measured]) -> str:
    names = list(rows[0].cpu)
    head = f"CPU-seconds and highest memory of each process:\n\n| responses | stored in | {' | '.join(names)} |\n"
    lines = [
        f"| {row.responses:,} | {row.database} | "
        + " | ".join(f"{row.cpu[name]:.1f} s, {row.memory.get(name, 0) / 1e6:.0f} MB" for name in names)
        + " |"
        for row in rows
    ]
    return head + "|---" * (len(names) + 2) + "|\n" + "\n".join(lines)


def _verdict(rows: list[Measured]) -> str:
    """Linear or not, and against what GPUs make; for each kind of database."""
    produced = (
        f"{GPUS} H100 that do nothing but sample make {PRODUCED:,.0f} responses a second: {DECODE_RATE:,.0f} tokens/s "
        f"each (`gpu_sharing` has the source) and {RESPONSE_TOKENS} tokens a response."
    )
    databases = dict.fromkeys(row.database for row in rows)
    return "\n\n".join([produced, *(_growth([row for row in rows if row.database == name]) for name in databases)])


def _growth(rows: list[Measured]) -> str:
    least, most = (choose(rows, key=lambda row: row.responses) for choose in (min, max))
    speed = f"{most.database}: {most.responses:,} responses were through at {most.rate / PRODUCED:.1f} times that rate."
    if least == most:
        return speed

    def grew(of: Callable[[Measured], float]) -> str:
        return f"{of(most) / most.responses / (of(least) / least.responses):.2f} times"

    return (
        f"{speed} From {least.responses:,} responses to {most.responses:,}, the time for each grew "
        f"{grew(lambda row: row.seconds)}, the pipeline's own CPU time {grew(lambda row: row.own_cpu)}, and the "
        f"coordinator's alone {grew(lambda row: row.cpu['coordinator'])}."
    )


def main() -> None:
    database = os.environ.get("MSTAR_BENCH_DATABASE")
    for size in map(int, sys.argv[1:] or map(str, SIZES)):
        measured = measure(size, database)
        known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
        kept = [one for one in known if (one["responses"], one["database"]) != (measured.responses, measured.database)]
        found = sorted([*kept, asdict(measured)], key=lambda one: (one["database"], one["responses"]))
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        RESULTS.with_suffix(".md").write_text(report(found))
        print(_table([measured]), flush=True)


if __name__ == "__main__":
    main()
