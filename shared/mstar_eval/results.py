"""What an evaluation found, as values, as JSON and as a Markdown table in the shape of the paper's two."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean

from mstar.errors import InvalidInput
from mstar.judges import Benchmark, benchmark
from mstar.judges.statistics import Difference
from mstar.judges.tables import Judged, TableRow, difference, lines, measures, outcomes
from mstar.stages.measure import MeasuredTable
from mstar.types import Frozen, Verdict
from mstar_eval.responses import ResponseFile, Settings


class BenchmarkResult(Frozen):
    """One benchmark."""

    settings: Settings
    judge: str = ""
    """Language model that found answers where the rule found none; empty: no model did."""
    lines: tuple[TableRow, ...]
    """The first is the one that tables show."""
    items: int
    """Prompts that were asked; a rotation is one."""
    cut: int
    """Responses that ended at the token limit."""
    refused: int
    """Items that the policy could not be asked."""
    refusal: str = ""
    """The first reason."""
    reasons: dict[str, int]
    """Verdicts by rule, right and wrong."""
    outcomes: dict[str, dict[str, float]]
    """Group → question → outcome of the first line; what a comparison pairs."""


class EvaluationResult(Frozen):
    """All benchmarks that were measured on one model."""

    model: str
    benchmarks: dict[str, BenchmarkResult]
    differences: dict[str, Difference] = {}
    """This model minus another, by benchmark."""
    against: str = ""
    """Name of the other model."""

    @property
    def average(self) -> float:
        """Mean of the benchmarks' averages, as in the paper's second table."""
        return fmean(one.lines[0].average.share for one in self.benchmarks.values())


def result_of(
    benchmark: Benchmark, file: ResponseFile, found: Sequence[tuple[Judged, Sequence[Verdict]]], judge: str = ""
) -> BenchmarkResult:
    """Tables and counts of one benchmark."""
    judged = [one for one, _ in found]
    reasons = Counter(
        f"{'right' if verdict.correct else 'wrong'} {verdict.reason}" for _, verdicts in found for verdict in verdicts
    )
    rows = [file.rows[one.item.id] for one in judged]
    refused = [row.refused for row in rows if row.refused]
    return BenchmarkResult(
        settings=file.settings,
        judge=judge,
        lines=lines(benchmark, judged, file.settings.seed),
        items=len(judged),
        cut=sum(map(sum, (row.cut for row in rows))),
        refused=len(refused),
        refusal=refused[0] if refused else "",
        reasons=dict(reasons.most_common()),
        outcomes=outcomes(benchmark, judged, measures(judged)[0]),
    )


def compared(ours: EvaluationResult, theirs: EvaluationResult) -> EvaluationResult:
    """Our results with a paired bootstrap against another model's. Raises InvalidInput for other questions."""
    shared = [name for name in ours.benchmarks if name in theirs.benchmarks]
    if not shared:
        raise InvalidInput("the two evaluations have no benchmark in common", field="against")
    differences = {}
    for name in shared:
        one, other = ours.benchmarks[name], theirs.benchmarks[name]
        # Pairs by question ids alone would pair editions of a benchmark whose questions changed.
        if one.settings.data_sha256 != other.settings.data_sha256:
            raise InvalidInput(
                f"{name}: the other evaluation saw other data, so nothing can be paired", field="against"
            )
        differences[name] = difference(one.outcomes, other.outcomes, benchmark(name), one.settings.seed)
    return ours.model_copy(update={"differences": differences, "against": theirs.model})


def markdown(result: EvaluationResult) -> str:
    """The groups of each benchmark, the line over all benchmarks, and the comparison, in percent."""
    parts = [f"# {result.model}"]
    for name, one in result.benchmarks.items():
        parts.append(_table(benchmark(name), one))
    if len(result.benchmarks) > 1:
        head = [*(benchmark(name).title for name in result.benchmarks), "Average"]
        row = [*(percent(one.lines[0].average.share) for one in result.benchmarks.values()), percent(result.average)]
        parts.append(_rows([["", *head], [result.model, *row]]))
    if result.differences:
        rows = [["", "points", "95 % interval", "p"]]
        for name, found in result.differences.items():
            interval = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
            rows.append([benchmark(name).title, f"{100 * found.points:+.1f}", interval, f"{found.p_value:.3f}"])
        parts += [f"## Against {result.against}", _rows(rows)]
    return "\n\n".join(parts) + "\n"


def warnings(benchmarks: Mapping[str, BenchmarkResult | MeasuredTable]) -> list[str]:
    """What a reader must know before trusting the numbers: items not asked, responses cut off, questions missing."""
    found = []
    for name, one in benchmarks.items():
        about, asked = benchmark(name), one.lines[0].average.questions
        if one.refused:
            found.append(f"{about.title}: {one.refused} items could not be asked and count as wrong: {one.refusal}")
        if one.cut:
            found.append(f"{about.title}: {one.cut} responses ended at the token limit, and what comes later is lost")
        # A table of some columns leaves out the other groups on purpose.
        if about.size and asked != about.size and not about.only_columns:
            found.append(f"{about.title}: {asked} questions were asked; the published set has {about.size}")
    return found


def percent(share: float) -> str:
    """A share with one decimal, as the paper has it."""
    return f"{100 * share:.1f}"


def _table(about: Benchmark, result: BenchmarkResult) -> str:
    columns = [name for name in result.lines[0].columns if name != "ALL"]
    rows = [["", about.title, "95 % interval", *columns, "questions"]]
    for line in result.lines:
        interval = f"{percent(line.average.interval.low)} to {percent(line.average.interval.high)}"
        shares = [percent(line.columns[name].share) for name in columns]
        rows.append([line.measure, percent(line.average.share), interval, *shares, str(line.average.questions)])
    return _rows(rows)


def _rows(rows: Sequence[Sequence[str]]) -> str:
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
