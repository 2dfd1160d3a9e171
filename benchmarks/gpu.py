"""What only a GPU can show, in under nine minutes: `python -m benchmarks.gpu [ROW …]`.

Every row runs in a process of its own with a time limit, and is written to a file of JSON lines as soon as it ends. A
second call goes on where the first one stopped; rows that failed are tried again. Rows that measure time run alone;
the process of the next one starts meanwhile and waits. Without a GPU the same rows run at tiny shapes, which shows that
they work and nothing else. `--report` prints what a file holds as the table of docs/gpu-runs.md.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PLACES = ("", "shared", "services", "tests/support")
"""Folders that rows import from; nothing needs to be installed from this repository."""
TOGETHER = int(os.environ.get("MSTAR_GPU_TOGETHER", max(2, min(12, (os.cpu_count() or 1) - 2))))
"""Rows at a time of those that measure no time."""
LAST_LINES = 12
LONG = 150.0
"""Seconds of a row that also writes and reads a model."""
DONE = "measured"

CHECKPOINTED = {"gradient_checkpointing": True}
LORA = {"lora": {"rank": 16}}
QLORA = {"lora": {"rank": 16, "quantize": True}}
TRAININGS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("8b/lora", "8b", LORA),
    ("8b/zero3-checkpointing", "8b", {"zero_stage": 3} | CHECKPOINTED),
    ("2b/zero3", "2b", {"zero_stage": 3}),
    ("2b/checkpointing", "2b", CHECKPOINTED),
    ("8b/lora-checkpointing", "8b", LORA | CHECKPOINTED),
    ("2b/zero2", "2b", {"zero_stage": 2}),
    ("2b/offload", "2b", {"offload_optimizer": True}),
    ("2b/offload-parameters", "2b", {"zero_stage": 3, "offload_optimizer": True, "offload_parameters": True}),
    ("2b/qlora", "2b", QLORA),
    ("8b/qlora-checkpointing", "8b", QLORA | CHECKPOINTED),
    ("8b/zero2", "8b", {"zero_stage": 2}),
)
"""Options of the recipe's `train` at each size. The last one is known not to fit one GPU of 150 GB."""


@dataclass(frozen=True)
class Row:
    """A measurement: `function` of `benchmarks.<module>` with these arguments."""

    name: str
    module: str
    function: str
    arguments: tuple[Any, ...] = ()
    seconds: float = 90.0
    """Limit, from when the device is this row's."""
    alone: bool = True


def rows() -> tuple[Row, ...]:
    """All rows, the most wanted first."""
    from further_families import DRIVEN

    families = tuple(
        Row(f"family/{one.name}", "gpu_families", "family", (one.name,), 150.0, alone=False) for one in DRIVEN
    )
    return (
        Row("device", "gpu_device", "describe", seconds=40.0),
        Row("attention/2k", "gpu_scoring", "attention", (2048,)),
        Row("attention/8k", "gpu_scoring", "attention", (8192,)),
        Row("attention/20k", "gpu_scoring", "attention", (20_000,)),
        Row("train/2b/zero0", "gpu_training", "training", ("2b", {"zero_stage": 0})),
        Row("cross-entropy", "gpu_training", "cross_entropy", ()),
        *families,
        *(
            Row(f"train/{name}", "gpu_training", "training", (shape, options), 150.0)
            for name, shape, options in TRAININGS
        ),
        Row("backward/8b", "gpu_training", "backward", ("8b",)),
        Row("resumed/2b/qlora", "gpu_again", "resumed", ("2b", QLORA), 280.0),
        Row("resumed/2b/lora", "gpu_again", "resumed", ("2b", LORA), 280.0),
        Row("resumed/2b/full", "gpu_again", "resumed", ("2b", {}), 280.0),
        Row("second-load/2b", "gpu_again", "second_load", ("2b",), 200.0),
        *(Row(f"vllm-family/{one.name}", "gpu_vllm", "family", (one.name,), 200.0, alone=False) for one in DRIVEN),
        Row("vllm/2b", "gpu_vllm", "served", ("2b",), 400.0),
        Row("hand-over/2b", "gpu_scoring", "hand_over", ("2b",)),
    )


class _Child:
    """The process of one row: it imports what it needs, and measures when it is told to."""

    def __init__(self, row: Row, logs: Path) -> None:
        self._row = row
        stem = row.name.replace("/", "-")
        self._found, self._log = logs / f"{stem}.json", logs / f"{stem}.log"
        self._found.unlink(missing_ok=True)
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.gpu", "--measure", _call(row), "--into", str(self._found)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=_environment(row),
                start_new_session=True,
            )

    def measure(self) -> dict[str, Any]:
        """What the row found, or why it found nothing."""
        began = time.monotonic()
        outcome = "failed"
        try:
            self._process.communicate(b"go\n", timeout=self._row.seconds)
        except subprocess.TimeoutExpired:
            outcome = "timed out"
        finally:
            self.stop()
        seconds = round(time.monotonic() - began, 1)
        if self._found.exists():
            return {"row": self._row.name, "seconds": seconds, **json.loads(self._found.read_text())}
        tail = self._log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return {"row": self._row.name, "outcome": outcome, "seconds": seconds, "error": "\n".join(tail)}

    def stop(self) -> None:
        """End the process and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()  # type: ignore[union-attr]


def _call(row: Row) -> str:
    return json.dumps([row.module, row.function, row.arguments])


def _environment(row: Row) -> dict[str, str]:
    path = [str(ROOT / place) for place in PLACES] + list(filter(None, [os.environ.get("PYTHONPATH")]))
    # Compiling in many processes at once gains nothing where many rows do it.
    compilers = {} if row.alone else {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
    return (
        {"OMP_NUM_THREADS": "4" if row.alone else "1"}
        | os.environ
        | compilers
        | {"PYTHONPATH": os.pathsep.join(path), "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    )


def measure_all(wanted: Sequence[Row], write: Callable[[dict[str, Any]], None], logs: Path, budget: float) -> None:
    """Measure the rows in their order; none begins after `budget` seconds."""
    end = time.monotonic() + budget
    for group in _groups(wanted):
        if group[0].alone:
            _one_by_one(group, write, logs, end)
            continue
        with ThreadPoolExecutor(TOGETHER) as pool:
            for found in pool.map(lambda row: _within(row, logs, end), group):
                if found is not None:
                    write(found)


def _groups(wanted: Sequence[Row]) -> Iterator[list[Row]]:
    """Neighbours that run alone, and neighbours that run together."""
    group: list[Row] = []
    for row in wanted:
        if group and group[-1].alone != row.alone:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _one_by_one(group: Sequence[Row], write: Callable[[dict[str, Any]], None], logs: Path, end: float) -> None:
    child = _Child(group[0], logs)
    for following in (*group[1:], None):
        if time.monotonic() > end:
            break
        # The next one imports while this one measures.
        coming = None if following is None else _Child(following, logs)
        write(child.measure())
        if coming is None:
            return
        child = coming
    child.stop()


def _within(row: Row, logs: Path, end: float) -> dict[str, Any] | None:
    return None if time.monotonic() > end else _Child(row, logs).measure()


def _measure(call: str, into: Path) -> None:
    """The child's side."""
    module, name, arguments = json.loads(call)
    function = getattr(import_module(f"benchmarks.{module}"), name)
    if not sys.stdin.readline():
        return
    try:
        found = {"outcome": DONE, "result": function(*arguments)}
    except Exception as error:
        traceback.print_exc()
        found = {"outcome": "failed", "error": f"{type(error).__name__}: {error}"[:2000]}
    partial = into.with_suffix(".tmp")
    partial.write_text(json.dumps(found))
    partial.replace(into)
    # Some libraries hang when they are taken down.
    os._exit(0)


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The last record of each row in a file of JSON lines; a line that was cut off is left out."""
    records = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            record = json.loads(line)
            records[record["row"]] = record
    return records


def missing(offered: Sequence[Row], known: dict[str, dict[str, Any]], beginnings: tuple[str, ...]) -> list[Row]:
    """Rows that are still to be measured, of those whose names begin so; without beginnings all of them."""
    done = {name for name, record in known.items() if record["outcome"] == DONE}
    return [row for row in offered if row.name not in done and row.name.startswith(beginnings or "")]


def report(records: dict[str, dict[str, Any]]) -> str:
    """Markdown: a line for each row."""
    lines = [f"| {name} | {record['outcome']} | {_numbers(record)} |" for name, record in records.items()]
    return "\n".join(["| row | outcome | numbers |", "|---|---|---|", *lines])


def _numbers(record: dict[str, Any]) -> str:
    if record["outcome"] != DONE:
        return str(record.get("error", "")).strip().replace("\n", " ").replace("|", "/")[-300:]
    return "; ".join(f"{key} {value}" for key, value in _flat(record["result"]))


def _flat(value: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        name = f"{above} {key}".strip()
        if isinstance(inner, dict):
            yield from _flat(inner, name)
        else:
            yield name, f"{inner:.4g}" if isinstance(inner, float) else inner


def main() -> None:
    """See the module."""
    sys.path[:0] = [str(ROOT / place) for place in PLACES]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help="names or their beginnings; all of them by default")
    parser.add_argument("--out", type=Path, default=Path("gpu.jsonl"), help="file that the rows are added to")
    parser.add_argument("--seconds", type=float, default=500.0, help="begin no row after that")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        return _measure(arguments.measure, arguments.into)
    known = read(arguments.out)
    if arguments.report:
        print(report(known))
        return
    offered = rows()
    for beginning in arguments.rows:
        if not any(row.name.startswith(beginning) for row in offered):
            parser.error(f"no row begins with {beginning!r}; there are {', '.join(row.name for row in offered)}")
    wanted = missing(offered, known, tuple(arguments.rows))

    def write(record: dict[str, Any]) -> None:
        with open(arguments.out, "a") as out:
            out.write(json.dumps(record) + "\n")
        print(f"{record['row']}: {record['outcome']}, {record['seconds']} s; {_numbers(record)}", flush=True)

    with tempfile.TemporaryDirectory(prefix="mstar-gpu-") as logs:
        measure_all(wanted, write, Path(logs), arguments.seconds)


if __name__ == "__main__":
    main()
