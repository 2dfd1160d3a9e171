"""Turns the numbers of several runs into curves, paired differences and the fields in which their recipes differ. Pure.

Runs of one recipe over several seeds are one line. What this leaves out: studies, whose comparisons were named before
their first run (`mstar.study`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from markupsafe import Markup

from mstar.charts import Band, ChartLine, chart
from mstar.judges.statistics import wilson
from mstar.marks import Marks
from mstar.paired_shares import paired_difference
from mstar.results import IterationResult, Milestone, RunResults
from mstar.step_names import iteration_phase
from mstar.study.statistics import Table, differences, estimates, quantile

Policy = Milestone | IterationResult
Read = Callable[[Policy], float | None]
RESAMPLES = 500
"""Of a page that is made at once; its intervals move by a few hundredths of their width from those of a study."""
OWN = ("name", "seed")
"""Fields in which runs of one line may differ."""


@dataclass(frozen=True)
class Group:
    """Runs of one recipe, which differ in their seed."""

    name: str
    runs: tuple[RunResults, ...]

    @property
    def by_seed(self) -> dict[int, RunResults]:
        """The runs by seed, in its order."""
        return {run.recipe.seed: run for run in sorted(self.runs, key=lambda one: one.recipe.seed)}

    @cached_property
    def last(self) -> int | None:
        """The last iteration that every run has measured, 0 for the warm-up; None where one has no warm-up yet."""
        reached = [max(_policies(run), default=None) for run in self.runs]
        # The least: beyond it the mean of a line would be over fewer runs at every step.
        return None if None in reached else min(one for one in reached if one is not None)


@dataclass(frozen=True)
class MeanCell:
    """A mean over runs in percent, with an interval of 95 % where there is one."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Against:
    """A difference from the first line of the table, in points."""

    points: float
    low: float | None
    high: float | None
    basis: str
    """What the interval is over, or why there is none."""


@dataclass(frozen=True)
class GroupRow:
    """One line of the table; a cell for each test."""

    group: Group
    cells: tuple[MeanCell | None, ...]
    against: tuple[Against | str, ...]
    """A sentence where the two cannot be compared; empty for the first line."""


@dataclass(frozen=True)
class FieldRow:
    """A field of the recipe that has several values."""

    path: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """All that the page shows."""

    groups: tuple[Group, ...]
    tests: tuple[str, ...]
    rows: tuple[GroupRow, ...]
    charts: tuple[tuple[str, Markup, str], ...]
    """Title, drawing, and the sentence below it."""
    fields: tuple[FieldRow, ...]


def compared(runs: Sequence[RunResults]) -> Comparison:
    """`runs` in the order in which they were chosen: the line of the first one is what others are compared with."""
    groups = grouped(runs)
    tests = tuple(dict.fromkeys(test for run in runs for test in run.recipe.tests))
    return Comparison(
        groups=groups,
        tests=tests,
        rows=tuple(_rows(groups, tests)),
        charts=tuple(_charts(groups, tests)),
        fields=differing(groups),
    )


def grouped(runs: Sequence[RunResults]) -> tuple[Group, ...]:
    """Runs of equal recipes together, except for a second run of the same seed, which is the same run again."""
    found: dict[str, list[RunResults]] = {}
    for run in runs:
        key = run.recipe.model_copy(update={"name": "", "seed": 0}).model_dump_json()
        again = sum(run.recipe.seed == one.recipe.seed for one in found.get(key, ()))
        found.setdefault(f"{key} {again}" if again else key, []).append(run)
    names = [made[0].name for made in found.values()]
    return tuple(
        Group(name if names.count(name) == 1 else f"{name} {made[0].id}", tuple(made))
        for name, made in zip(names, found.values(), strict=True)
    )


def differing(groups: Sequence[Group]) -> tuple[FieldRow, ...]:
    """Fields in which the recipes of the groups differ, with the value of each; `–` where a section is absent."""
    flat = [dict(_leaves("", group.runs[0].recipe.model_dump(mode="json"))) for group in groups]
    paths = [path for path in dict.fromkeys(path for one in flat for path in one) if path not in OWN]
    rows = (FieldRow(path, tuple(one.get(path, "–") for one in flat)) for path in paths)
    return tuple(row for row in rows if len(set(row.values)) > 1)


def _leaves(path: str, value: Any) -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list | tuple):
        yield path, ", ".join(map(str, value)) or "none"
    else:
        yield path, "none" if value is None or value == {} else str(value)


def _policies(run: RunResults) -> dict[int, Policy]:
    """Measured policies by iteration, the warm-up as 0."""
    made: dict[int, Policy] = {0: run.test["warmup"]} if "warmup" in run.test else {}
    return made | {one.index: one for one in run.iterations if one.greedy is not None}


def _marks(run: RunResults, iteration: int, test: str) -> Marks | None:
    return run.marks.get(iteration_phase(iteration) if iteration else "warmup", {}).get(test)


def _share(policy: Policy, test: str) -> float | None:
    """Greedy accuracy on a test."""
    if test == "test_id":
        return policy.greedy if isinstance(policy, IterationResult) else policy.id
    return policy.ood if test == "test_ood" else policy.sets.get(test)


def _rows(groups: Sequence[Group], tests: Sequence[str]) -> Iterable[GroupRow]:
    for place, group in enumerate(groups):
        last = group.last
        cells = [None if last is None else _cell(group, last, test) for test in tests]
        against = [_against(group, groups[0], test) for test in tests] if place else []
        yield GroupRow(group, tuple(cells), tuple(against))


def _cell(group: Group, iteration: int, test: str) -> MeanCell | None:
    shares = [share for run in group.runs if (share := _share(_policies(run)[iteration], test)) is not None]
    # A mean over some of the seeds would not be the line's.
    if len(shares) < len(group.runs):
        return None
    low, high = _interval(group, iteration, test, shares)
    return MeanCell(100 * fmean(shares), low, high)


def _interval(group: Group, iteration: int, test: str, shares: Sequence[float]) -> tuple[float | None, float | None]:
    """Student's over seeds; with one run Wilson's over the questions, where it is known how many there were."""
    if len(shares) > 1:
        # t(0.975, n - 1) · s / √n over n seeds.
        half = quantile(0.975, len(shares) - 1) * stdev(shares) / sqrt(len(shares))
        return 100 * max(0.0, fmean(shares) - half), 100 * min(1.0, fmean(shares) + half)
    marks = _marks(group.runs[0], iteration, test)
    if marks is None or not marks.questions:
        return None, None
    ends = wilson(round(shares[0] * marks.questions), marks.questions)
    return 100 * ends.low, 100 * ends.high


def _against(group: Group, first: Group, test: str) -> Against | str:
    """The last policies of two groups, paired by question, and by seed where both have several in common."""
    if group.last is None or first.last is None:
        return "not measured yet"
    one, other = group.by_seed, first.by_seed
    pairs = [(one[seed], other[seed]) for seed in one if seed in other]
    if not pairs and len(one) == len(other) == 1:
        pairs = [(group.runs[0], first.runs[0])]
    if not pairs:
        return "no seed in common"
    marks = [(_marks(a, group.last, test), _marks(b, first.last, test)) for a, b in pairs]
    known = [(a, b) for a, b in marks if a is not None and b is not None]
    if len(known) < len(marks):
        return "not measured on both"
    # `ids` is a hash of the questions in their order: only equal ones can be paired.
    if len({(mark.ids, mark.questions) for pair in known for mark in pair}) > 1:
        return "measured on other questions"
    return _difference([a.outcomes() for a, _ in known], [b.outcomes() for _, b in known])


def _difference(one: Table, other: Table) -> Against:
    questions = len(one[0])
    if len(one) == 1:
        found = paired_difference(one[0], other[0])
        return Against(found.points, found.low, found.high, f"{questions} questions, one seed")
    made = estimates({"": differences(one, other)}, resamples=RESAMPLES)[""]
    return Against(made.mean, made.low, made.high, f"{len(one)} seeds, {questions} questions")


def _charts(groups: Sequence[Group], tests: Sequence[str]) -> Iterable[tuple[str, Markup, str]]:
    over = "Band: 95 % over the seeds of a line, or over the questions where it has one run."
    for test in tests:
        yield f"Greedy on {test.replace('_', '-')}", _curves(groups, _reader(test), "accuracy, %", test), over
    seeds = "Band: 95 % over the seeds of a line; none where it has one run."
    passes = sorted({group.runs[0].recipe.evaluation.k for group in groups})
    named = f"Pass@{passes[0]}" if len(passes) == 1 else "Pass@K"
    yield f"{named} on validation", _curves(groups, lambda one: one.pass_at_k, f"{named}, %"), seeds
    yield (
        "Reward-Pass@2 on validation",
        _curves(groups, lambda one: one.reward_pass_at_2, "Reward-Pass@2, %"),
        seeds,
    )
    yield "Headroom on validation", _curves(groups, lambda one: one.headroom, f"{named} − greedy, points"), seeds
    lines = [ChartLine(group.name, _temperatures(group)) for group in groups]
    yield "Temperature", _drawn(chart(lines, "iteration", "sampling temperature")), "Means over the seeds of a line."


def _reader(test: str) -> Read:
    return lambda policy: _share(policy, test)


def _temperatures(group: Group) -> list[tuple[float, float | None]]:
    found: dict[int, list[float]] = {}
    for run in group.runs:
        for one in run.iterations:
            found.setdefault(one.index, []).append(one.temperature)
    return [(float(index), fmean(values)) for index, values in sorted(found.items())]


def _curves(groups: Sequence[Group], read: Read, label: str, test: str | None = None) -> Markup:
    lines, bands = [], []
    for group in groups:
        found: dict[int, list[float]] = {}
        for run in group.runs:
            for index, policy in _policies(run).items():
                if (value := read(policy)) is not None:
                    found.setdefault(index, []).append(value)
        ends = {index: _ends(group, index, test, values) for index, values in sorted(found.items())}
        lines.append(ChartLine(group.name, [(float(index), 100 * fmean(found[index])) for index in ends]))
        low, high = ([(float(index), end[side]) for index, end in ends.items()] for side in (0, 1))
        bands.append(Band(group.name, low, high))
    return _drawn(chart(lines, "iteration (0: warm-up)", label, bands=bands))


def _ends(group: Group, index: int, test: str | None, values: Sequence[float]) -> tuple[float | None, float | None]:
    # Over the questions only for tests, of which runs keep the mark of each question.
    if len(values) > 1 or (test is not None and len(group.runs) == 1):
        return _interval(group, index, test or "", values)
    return None, None


def _drawn(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704 - our own SVG, whose texts are escaped
