"""The tables of docs/study.md: what the study found, beside the paper's two tables, on a second base, and SFT's.

    mstar study report studies/paper.yaml --results benchmarks/study --gates benchmarks/gates.json --out docs
    mv docs/study.html docs/study-report.html    # beside study.md a site would have two pages of one name
    python -m benchmarks.study_tables

Replaces what stands between marks of the page, and nothing else. Those of the second base follow from its result files,
those of SFT from its own and those of `continuous` in the first study.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean

from mstar.cli.study_files import in_order, read_results, read_study
from mstar.step_names import WARMUP
from mstar.study.record import PolicyRecord, StudyRun
from mstar.study.summary import ArmResult, Gain, PairResult, PropertyResult, Spread, StudySummary, summarise

DOCS = Path(__file__).parents[1] / "docs"
PAGE, SUMMARY = DOCS / "study.md", DOCS / "study.json"
RUNS, SECOND_RUNS = (Path(__file__).with_name(name) for name in ("study", "study_second"))
BEGIN, END = "<!-- begin: benchmarks.study_tables -->\n", "<!-- end: benchmarks.study_tables -->\n"
SECOND_BEGIN, SECOND_END = (mark.replace("tables", "tables, second base") for mark in (BEGIN, END))
SFT_BEGIN, SFT_END = (mark.replace("tables", "tables, SFT") for mark in (BEGIN, END))
PAPER = {
    "warmup": (38.8, 52.6),
    "sft": (44.3, 54.8),
    "rest-em": (42.3, 55.1),
    "rft": (42.3, 55.7),
    "continuous": (43.1, 57.2),
    "random-2": (41.0, 55.5),
    "top-2": (45.3, 59.2),
    "pass-at-k": (42.8, 58.0),
    "m-star": (45.9, 59.5),
}
"""MathV360K's test and MathVista, in percent (paper, tables 1 to 3, MiniCPM-V-2.5)."""


def tables(found: StudySummary, runs: Sequence[StudyRun]) -> str:
    """All tables as Markdown."""
    return "\n".join(
        [
            f"{found.runs} of {found.planned} runs.\n",
            _table(
                "arm | seeds | test-ID | test-OOD | sampled | gain over warm-up on test-ID | in the paper",
                map(_arm, found.arms),
            ),
            "In brackets: standard deviation between seeds, then the interval of 95 %. The paper's gains are those of "
            "one run on MathV360K's test and on MathVista.\n",
            _table(
                "greedy on test-ID | here | p, Holm | seeds won | verdict | in the paper",
                map(_pair, found.pairs),
            ),
            _table(
                "sampled at T = 1 on validation | here | p, Holm | seeds won | verdict",
                (_pair(one)[:-1] for one in found.pairs_sampled),
            ),
            _table("greedy on test-OOD | here | seeds won", (_shown(one) for one in found.pairs_ood)),
            _curves(
                "greedy on test-ID after iteration", runs, lambda run: _over(run, lambda one: one.tests["test_id"])
            ),
            _curves("sampled after iteration", runs, lambda run: _over(run, lambda one: one.sampled_accuracy)),
            _curves(
                "sound among what trains",
                runs,
                lambda run: [one.sound_among_kept for one in run.iterations],
                begin=1,
            ),
            _curves("temperature", _steered(runs), lambda run: [one.temperature for one in run.iterations], 1, 1.0),
            _table("property | wanted | measured | met", map(_property, found.properties)),
            _table(
                "cost of a run that shares nothing | responses | updates | trained tokens | seconds of its steps",
                map(_cost, found.arms),
            ),
        ]
    )


def second_tables(found: StudySummary, runs: Sequence[StudyRun]) -> str:
    """Those of the second base as Markdown."""
    heads = "arm | seeds | test-ID | test-OOD | sampled | gain over warm-up on test-ID"
    pairs = "here | p, Holm | seeds won | verdict"
    return "\n".join(
        [
            f"{found.runs} of {found.planned} runs.\n",
            _table(heads, (_arm(one)[:-1] for one in found.arms)),
            _table(f"greedy on test-ID | {pairs}", (_pair(one)[:-1] for one in found.pairs)),
            _table(f"sampled at T = 1 on validation | {pairs}", (_pair(one)[:-1] for one in found.pairs_sampled)),
            _curves(
                "greedy on test-ID after iteration", runs, lambda run: _over(run, lambda one: one.tests["test_id"])
            ),
            _table("property | wanted | measured | met", map(_property, found.properties)),
        ]
    )


def sft_tables(found: StudySummary, runs: Sequence[StudyRun]) -> str:
    """Those of SFT on the answers as Markdown; both tests have verdicts."""
    pairs = "here | p, Holm | seeds won | verdict"
    return "\n".join(
        [
            f"{found.runs} of {found.planned} runs.\n",
            _table(
                "arm | seeds | test-ID | test-OOD | sampled | gain over warm-up on test-ID | in the paper",
                map(_arm, found.arms),
            ),
            _table(f"greedy on test-ID | {pairs} | on MathV360K's test", (_pair_of(one, 0) for one in found.pairs)),
            _table(f"greedy on test-OOD | {pairs} | on MathVista", (_pair_of(one, 1) for one in found.pairs_ood)),
            _curves(
                "greedy on test-ID after iteration", runs, lambda run: _over(run, lambda one: one.tests["test_id"])
            ),
            _curves(
                "greedy on test-OOD after iteration", runs, lambda run: _over(run, lambda one: one.tests["test_ood"])
            ),
            _table("property | wanted | measured | met", map(_property, found.properties)),
        ]
    )


def merged(page: str, block: str, begin: str = BEGIN, end: str = END) -> str:
    """The page with its tables replaced. Raises ValueError where it has no place for them."""
    if begin not in page or end not in page:
        raise ValueError(f"{PAGE.name} has no place for the tables: it needs the two lines that mark it")
    before, _, rest = page.partition(begin)
    return before + begin + "\n" + block + "\n" + end + rest.partition(end)[2]


def _table(head: str, rows: Iterable[Sequence[str]]) -> str:
    columns = head.split(" | ")
    lines = [f"| {head} |", "|" + "---|" * len(columns), *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def _curves(
    name: str,
    runs: Sequence[StudyRun],
    read: Callable[[StudyRun], Sequence[float | None]],
    begin: int = 0,
    scale: float = 100.0,
) -> str:
    """A line for each arm, a column for each iteration: means over the seeds."""
    arms: dict[str, list[Sequence[float | None]]] = {}
    for run in runs:
        arms.setdefault(run.arm, []).append(read(run))
    longest = max((len(values) for found in arms.values() for values in found), default=0)
    rows = []
    for arm, found in arms.items():
        columns = ([one[place] for one in found if place < len(one)] for place in range(longest))
        known = ([value for value in column if value is not None] for column in columns)
        rows.append(
            [f"`{arm}`", *(f"{scale * fmean(column):.{1 if scale > 1 else 2}f}" if column else "" for column in known)]
        )
    heads = ["warm-up" if place == 0 else str(place) for place in range(begin, begin + longest)]
    return _table(" | ".join([name, *heads]), rows)


def _over(run: StudyRun, read: Callable[[PolicyRecord], float]) -> list[float]:
    """Warm-up and iterations."""
    labels = [one.label for one in run.policies]
    return [read(one) for one in run.policies[labels.index(WARMUP) :]]


def _steered(runs: Sequence[StudyRun]) -> list[StudyRun]:
    return [run for run in runs if run.sweeps]


def _arm(one: ArmResult) -> list[str]:
    paper = _paper(one.name, "warmup")
    spreads = (one.final_id, one.final_ood, one.final_sampled)
    return [f"`{one.name}`", str(len(one.seeds)), *map(_spread, spreads), _gain(one.gain_over_warmup), paper]


def _pair(one: PairResult) -> list[str]:
    asked = "" if one.margin is None else f", not worse by {one.margin:g}"
    here = _gain(Gain(mean=one.difference, low=one.low, high=one.high))
    sure = "-" if one.p_holm is None else "< 0.001" if one.p_holm < 0.001 else f"{one.p_holm:.3f}"
    won = f"{one.wins} of {len(one.seeds)}"
    return [f"{one.a} − {one.b}{asked}", here, sure, won, one.verdict, _paper(one.a, one.b)]


def _pair_of(one: PairResult, test: int) -> list[str]:
    """With what the paper has on one of its two tests."""
    return [*_pair(one)[:-1], _paper(one.a, one.b).split(" / ")[test]]


def _shown(one: PairResult) -> list[str]:
    name, here, _, won, *_ = _pair(one)
    return [name, here, won]


def _property(one: PropertyResult) -> list[str]:
    value = "not measured" if one.value is None else f"{one.value:.1f}"
    return [one.name, one.wanted, value, {None: "-", True: "yes", False: "**no**"}[one.met]]


def _cost(one: ArmResult) -> list[str]:
    cost = one.cost
    numbers = (cost.responses, cost.updates, cost.trained_tokens, round(cost.seconds))
    return [f"`{one.name}`", *(f"{number:,}" for number in numbers)]


def _paper(a: str, b: str) -> str:
    if a not in PAPER or b not in PAPER:
        return "-"
    return " / ".join(f"{one - other:+.1f}" for one, other in zip(PAPER[a], PAPER[b], strict=True))


def _spread(one: Spread | None) -> str:
    if one is None:
        return "-"
    return f"{one.mean:.1f}" if one.sd is None else f"{one.mean:.1f} ({one.sd:.1f})"


def _gain(one: Gain) -> str:
    ends = "" if one.low is None or one.high is None else f" ({one.low:+.1f} to {one.high:+.1f})"
    return f"{one.mean:+.1f}{ends}"


def main() -> None:
    """Write the tables into the page."""
    found = StudySummary.model_validate_json(SUMMARY.read_bytes())
    study = read_study("paper")
    runs = in_order(study, read_results(RUNS, study).values())
    page = merged(PAGE.read_text(encoding="utf-8"), tables(found, runs))
    second = read_study("second-base")
    runs = in_order(second, read_results(SECOND_RUNS, second).values())
    block = second_tables(summarise(second, runs), runs)
    page = merged(page, block, SECOND_BEGIN, SECOND_END)
    third = read_study("sft")
    runs = in_order(third, read_results(RUNS, third).values())
    page = merged(page, sft_tables(summarise(third, runs), runs), SFT_BEGIN, SFT_END)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
