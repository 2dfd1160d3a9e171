"""Pairs of measurements in ABBA order, and what a row of the table says of them."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import psutil

PAIRS = 5
Side = Callable[[], dict[str, float]]
"""Does the work once and returns what it counted, such as tokens or images. It may give `cpu` and `wall` itself."""
Unit = Literal["cpu", "wall"]


@dataclass(frozen=True)
class Row:
    """One line of the table. `ratio` above 1 means that ours is better."""

    name: str
    ours: float
    other: float
    ratio: float
    target: str
    met: bool
    pairs: int
    unit: str
    against: str
    counted: dict[str, float] = field(default_factory=dict)
    note: str = ""

    def dump(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Pairs:
    """All measurements of one comparison."""

    ours: tuple[dict[str, float], ...]
    other: tuple[dict[str, float], ...]

    def median(self, side: Literal["ours", "other"], key: str) -> float:
        return statistics.median(one[key] for one in getattr(self, side))

    def per(self, side: Literal["ours", "other"], key: str, unit: Unit) -> float:
        """Median rate of something counted, for each second of the unit."""
        return statistics.median(one[key] / one[unit] for one in getattr(self, side))


def compare(ours: Side, other: Side, pairs: int = PAIRS) -> Pairs:
    """Run both sides once unmeasured, then alternate which comes first."""
    ours(), other()
    found: dict[str, list[dict[str, float]]] = {"ours": [], "other": []}
    for pair in range(pairs):
        order = [("ours", ours), ("other", other)]
        for name, side in order if pair % 2 == 0 else reversed(order):
            found[name].append(_timed(side))
    return Pairs(tuple(found["ours"]), tuple(found["other"]))


def best_of(makers: dict[int, Side]) -> int:
    """The batch size at which a side needs the least CPU time."""
    return min(makers, key=lambda size: min(_timed(makers[size])["cpu"] for _ in range(2)))


def _timed(side: Side) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    counted = side()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall} | counted


def cpu_of(pid: int) -> float:
    """CPU-seconds of a process and everything that it started, as far as it is alive or was waited for."""
    total = 0.0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total
