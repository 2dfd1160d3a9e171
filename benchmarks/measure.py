"""Pairs of measurements in ABBA order, and what a row of the table says of them."""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

import psutil

Size = TypeVar("Size")
SMALLEST = "MSTAR_BENCH_SMALLEST"
"""Set in the environment where work has its smallest size: `python -m benchmarks --smallest`."""


def sized(whole: Size, smallest: Size) -> Size:
    """A size of the work: the one that is measured, or the smallest that shows that it runs."""
    return smallest if SMALLEST in os.environ else whole


PAIRS = sized(5, 1)
Side = Callable[[], dict[str, float]]
"""Does the work once and returns what it counted, such as tokens or images. It may give `cpu` and `wall` itself."""
Which = Literal["ours", "other"]
SIDES: tuple[Which, Which] = ("ours", "other")
COSTS = ("cpu", "wall", "tokens", "images")
"""What every row tells of both sides, where it applies: CPU-seconds, seconds, tokens computed and images encoded."""


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
    work: dict[Which, dict[str, float]] = field(default_factory=dict)
    """Medians of the costs of one measurement."""
    counted: dict[str, float] = field(default_factory=dict)
    note: str = ""

    def dump(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Pairs:
    """All measurements of one comparison."""

    ours: tuple[dict[str, float], ...]
    other: tuple[dict[str, float], ...]

    def of(self, side: Which) -> tuple[dict[str, float], ...]:
        return self.ours if side == "ours" else self.other

    def median(self, side: Which, key: str) -> float:
        return statistics.median(one[key] for one in self.of(side))

    def per(self, side: Which, key: str, unit: str) -> float:
        """Median rate of something counted, for each second of the unit."""
        return statistics.median(one[key] / one[unit] for one in self.of(side))

    def work(self) -> dict[Which, dict[str, float]]:
        """What both sides cost, as far as they counted it."""
        return {side: {key: self.median(side, key) for key in COSTS if key in self.of(side)[0]} for side in SIDES}


def by_cost(
    name: str,
    pairs: Pairs,
    against: str,
    at_least: float,
    *,
    unit: Literal["cpu", "wall"] = "cpu",
    target: str = "",
    counted: dict[str, float] | None = None,
    note: str = "",
) -> Row:
    """A row on what the same work costs: `at_least` times less than the other side."""
    mine, other = (pairs.median(side, unit) for side in SIDES)
    label = {"cpu": "CPU-s", "wall": "s"}[unit]
    return _row(name, mine, other, other / mine, at_least, target, label, against, pairs, counted, note)


def by_rate(
    name: str,
    pairs: Pairs,
    against: str,
    at_least: float,
    *,
    what: str = "tokens",
    unit: Literal["cpu", "wall"] = "wall",
    counted: dict[str, float] | None = None,
    note: str = "",
) -> Row:
    """A row on how much of something is done in a second: `at_least` times what the other side does."""
    mine, other = (pairs.per(side, what, unit) for side in SIDES)
    label = what + {"cpu": "/CPU-s", "wall": "/s"}[unit]
    return _row(name, mine, other, mine / other, at_least, "", label, against, pairs, counted, note)


def _row(
    name: str,
    mine: float,
    other: float,
    ratio: float,
    at_least: float,
    target: str,
    unit: str,
    against: str,
    pairs: Pairs,
    counted: dict[str, float] | None,
    note: str,
) -> Row:
    words, met = target or f">= {at_least:.2f}", ratio >= at_least
    return Row(name, mine, other, ratio, words, met, len(pairs.ours), unit, against, pairs.work(), counted or {}, note)


def compare(ours: Side, other: Side, pairs: int = PAIRS) -> Pairs:
    """Run both sides once unmeasured, then alternate which comes first."""
    ours(), other()
    found: dict[str, list[dict[str, float]]] = {"ours": [], "other": []}
    for pair in range(pairs):
        order = [("ours", ours), ("other", other)]
        for name, side in order if pair % 2 == 0 else reversed(order):
            found[name].append(timed(side))
    return Pairs(tuple(found["ours"]), tuple(found["other"]))


def best_of(makers: dict[int, Side]) -> int:
    """The batch size at which a side needs the least CPU time."""
    return min(makers, key=lambda size: min(timed(makers[size])["cpu"] for _ in range(2)))


def timed(side: Side) -> dict[str, float]:
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
