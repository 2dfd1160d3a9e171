"""From verdicts to a line of a benchmark's table: group by group, their average, and how sure each number is."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from mstar.judges.benchmark import Benchmark, Item
from mstar.judges.statistics import Difference, Interval, averaged, compare, interval_of
from mstar.types import Frozen


@dataclass(frozen=True)
class Judged:
    """An item with one verdict for each of its samples, and the place of the sample that the PRM ranks first."""

    item: Item
    correct: tuple[bool, ...]
    best: int | None = None


class TableCell(Frozen):
    """A number of the table."""

    share: float
    interval: Interval
    questions: int


class TableRow(Frozen):
    """What one way to choose an answer scores on a benchmark."""

    measure: str
    """`greedy`, `mean of n`, `best of n by the PRM` or `any of n`."""
    columns: dict[str, TableCell]
    average: TableCell
    subgroups: dict[str, float] = {}


def lines(benchmark: Benchmark, judged: Sequence[Judged], seed: int = 0) -> tuple[TableRow, ...]:
    """One line for greedy answers; for n samples their mean, the PRM's choice and whether any is right."""
    return tuple(
        _line(benchmark, measure, outcomes(benchmark, judged, measure), judged, seed) for measure in measures(judged)
    )


def measures(judged: Sequence[Judged]) -> tuple[str, ...]:
    """Names of the lines that the samples allow."""
    n = min((len(one.correct) for one in judged), default=0)
    if n <= 1:
        return ("greedy",)
    by_prm = all(one.best is not None for one in judged)
    return (f"mean of {n}", *([f"best of {n} by the PRM"] if by_prm else []), f"any of {n}")


def outcomes(benchmark: Benchmark, judged: Sequence[Judged], measure: str) -> dict[str, dict[str, float]]:
    """Group → question → its outcome in [0, 1]. Rotations of a question count together: all must be right."""
    circles: dict[tuple[str, str], list[Judged]] = defaultdict(list)
    for one in judged:
        circles[(one.item.group, one.item.circle or one.item.id)].append(one)
    found: dict[str, dict[str, float]] = {column: {} for column in benchmark.columns}
    for (group, question), rotations in circles.items():
        found.setdefault(group, {})[question] = _outcome(rotations, measure)
    return {group: questions for group, questions in found.items() if questions}


def difference(
    one: Mapping[str, Mapping[str, float]],
    other: Mapping[str, Mapping[str, float]],
    benchmark: Benchmark,
    seed: int = 0,
) -> Difference:
    """Paired bootstrap of two models' outcomes. Raises ValueError where their questions are not the same."""
    if {g: set(q) for g, q in one.items()} != {g: set(q) for g, q in other.items()}:
        raise ValueError("the two models were not measured on the same questions")
    paired = [{group: [side[group][q] for q in sorted(one[group])] for group in one} for side in (one, other)]
    return compare(paired[0], paired[1], benchmark.average, seed)


def _outcome(rotations: Sequence[Judged], measure: str) -> float:
    if measure.startswith("best"):
        return float(all(one.best is not None and one.correct[one.best] for one in rotations))
    if measure.startswith("any"):
        return float(all(any(one.correct) for one in rotations))
    n = min(len(one.correct) for one in rotations)
    # Sample by sample: the i-th answers to all rotations of a question belong together.
    return fmean(float(all(one.correct[place] for one in rotations)) for place in range(n))


def _line(
    benchmark: Benchmark, measure: str, found: Mapping[str, Mapping[str, float]], judged: Sequence[Judged], seed: int
) -> TableRow:
    values = {group: list(questions.values()) for group, questions in found.items()}
    columns = {
        group: TableCell(
            share=fmean(group_values),
            interval=interval_of({group: group_values}, benchmark.average, seed),
            questions=len(group_values),
        )
        for group, group_values in values.items()
    }
    average = TableCell(
        share=averaged(values, benchmark.average),
        interval=interval_of(values, benchmark.average, seed),
        questions=sum(map(len, values.values())),
    )
    return TableRow(measure=measure, columns=columns, average=average, subgroups=_subgroups(judged, found))


def _subgroups(judged: Sequence[Judged], found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Means of the finer groups that the published file names."""
    values: dict[str, dict[str, float]] = defaultdict(dict)
    for one in judged:
        if one.item.subgroup:
            question = one.item.circle or one.item.id
            values[one.item.subgroup][question] = found[one.item.group][question]
    return {name: fmean(questions.values()) for name, questions in sorted(values.items())}
