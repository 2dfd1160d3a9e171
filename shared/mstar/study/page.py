"""The report of a study: one HTML file that opens anywhere, and one CSV file with a line a policy.

Texts from files are escaped. There is no script and nothing is loaded.
"""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from html import escape
from math import sqrt
from statistics import fmean, stdev

from mstar.charts import Band, ChartLine, chart
from mstar.step_names import BASE, WARMUP, iteration_of
from mstar.study.plan import Study
from mstar.study.record import PolicyRecord, StudyRun
from mstar.study.statistics import quantile
from mstar.study.summary import Gain, PairResult, Spread, StudySummary

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2330; background: #fafbfc; margin: 0 auto; max-width: 1120px;
  padding: 24px; }
h1 { font-size: 24px; margin: 0; } h2 { font-size: 18px; margin: 32px 0 8px; }
.muted, .empty { color: #667085; } .empty { font-style: italic; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; background: #fff; border: 1px solid #e3e7ee; }
th, td { padding: 5px 14px; text-align: right; border-bottom: 1px solid #eef1f5; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; background: #f3f5f9; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(460px, 100%), 1fr)); gap: 16px; }
.card { background: #fff; border: 1px solid #e3e7ee; border-radius: 8px; padding: 14px; }
.card h3 { margin: 0 0 6px; font-size: 15px; }
svg { width: 100%; height: auto; } svg text { font-size: 11px; } svg .axis { fill: #667085; }
svg .grid { stroke: #e8ebf0; }
.holds { color: #00725a; font-weight: 600; } .not { color: #d55e00; font-weight: 600; }
"""
VERDICTS = {"holds": "holds", "does not hold": "not", "cannot be told": "muted"}
Read = Callable[[PolicyRecord], float | None]


def study_sections(study: Study, summary: StudySummary, runs: Sequence[StudyRun]) -> str:
    """Tables and curves as HTML without a page around them; every text that a file gave is escaped."""
    parts = [
        f"<p class='muted'>{summary.runs} of {summary.planned} runs · seeds {', '.join(map(str, study.seeds))} · "
        "greedy accuracy in percent, differences in points, intervals of 95 %</p>",
        "<h2>What was asked before the first run</h2>",
        _pairs_table(summary.pairs),
        "<p class='muted'>Final policies on test-ID, paired by seed and question. A contrast holds where its p-value, "
        "corrected by Holm for all named contrasts, is below 5 %. With a margin only is asked whether the first is not "
        "worse by more than the margin, one-sided at 5 %.</p>",
        "<h2>Arms</h2>",
        _arms_table(summary),
        "<h2>The same comparisons on test-OOD</h2>",
        _pairs_table(summary.pairs_ood),
        "<h2>The same comparisons on sampled responses</h2>",
        _pairs_table(summary.pairs_sampled),
        "<p class='muted'>Correct ones among the responses that the final policies sample of validation questions, "
        "paired by seed: Student's t says how sure a difference is for other seeds, on these questions. Holm among "
        "these.</p>",
        "<h2>Properties</h2>",
        _properties_table(summary),
        "<h2>Curves</h2>",
        f"<div class='charts'>{''.join(_cards(runs))}</div>",
        "<h2>Cost of a run</h2>",
        _cost_table(summary),
        "<p class='muted'>Means over the seeds, as if a run shared nothing with another. Seconds are those that its "
        "steps worked, added up: CPU-seconds where every process has one thread and a core to itself.</p>",
    ]
    return "\n".join(parts)


def study_page(study: Study, summary: StudySummary, runs: Sequence[StudyRun]) -> str:
    """The report as HTML."""
    # The file is opened from a disk, where no server's header protects it.
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(summary.name)}</title><style>{STYLE}</style></head><body>\n"
        f"<h1>{escape(summary.name)}</h1>\n{study_sections(study, summary, runs)}\n</body></html>\n"
    )


def study_csv(runs: Iterable[StudyRun]) -> str:
    """A line for each policy of each run; shares in percent."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    metrics = ("pass_at_k", "reward_pass_at_2", "headroom", "sampled_accuracy", "best_of_n", "sound_among_correct")
    costs = ("responses", "tokens", "trained_tokens", "updates", "seconds")
    table.writerow(
        ["study", "arm", "seed", "run", "policy", "test_id", "test_ood", *metrics, "temperature", "kept",
         "sound_among_kept", "sound_among_random", *(f"run_{one}" for one in costs), "reused_steps"]
    )  # fmt: skip
    for run in runs:
        iterations = {one.index: one for one in run.iterations}
        for policy in run.policies:
            made = iterations.get(iteration_of(policy.label) or 0)
            shares = [policy.tests.get("test_id"), policy.tests.get("test_ood"), *(getattr(policy, m) for m in metrics)]
            row = [run.study, run.arm, run.seed, run.run, policy.label, *map(_percent, shares)]
            row += [made.temperature, made.kept] if made else ["", ""]
            row += map(_percent, (made.sound_among_kept, made.sound_among_random) if made else (None, None))
            table.writerow([*row, *(getattr(run.cost, one) for one in costs), run.reused])
    return out.getvalue()


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already."""
    head = "".join(f"<th scope='col'>{escape(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
    return f"<div class='wide' tabindex='0'><table><tr>{head}</tr>\n{body}</table></div>"


def _pairs_table(pairs: Sequence[PairResult]) -> str:
    if not pairs:
        return "<p class='empty'>Comparisons will appear here once both of their arms have a run of one seed.</p>"
    titles = ("comparison", "difference", "95 % interval", "P(better)", "seeds won", "p", "p, Holm", "verdict")
    return _table(titles, map(_pair_row, pairs))


def _pair_row(one: PairResult) -> list[str]:
    asked = "" if one.margin is None else f", not worse by {one.margin:g}"
    return [
        escape(f"{one.a} − {one.b}{asked}"),
        f"{one.difference:+.1f}",
        _interval(one.low, one.high),
        _fixed(one.probability, 3),
        f"{one.wins} of {len(one.seeds)}",
        _fixed(one.p, 4),
        _fixed(one.p_holm, 4),
        f"<span class='{VERDICTS[one.verdict]}'>{escape(one.verdict)}</span>",
    ]


def _arms_table(summary: StudySummary) -> str:
    titles = (
        "arm",
        "seeds",
        "warm-up",
        "final ID",
        "sd",
        "final OOD",
        "sd",
        "sampled",
        "sd",
        "gain over warm-up",
        "95 % interval",
    )
    rows = (
        [
            escape(one.name),
            str(len(one.seeds)),
            f"{one.warmup:.1f}",
            *_spread(one.final_id),
            *_spread(one.final_ood),
            *_spread(one.final_sampled),
            *_gain(one.gain_over_warmup),
        ]
        for one in summary.arms
    )
    return _table(titles, rows)


def _properties_table(summary: StudySummary) -> str:
    if not summary.properties:
        return "<p class='empty'>The study names none.</p>"
    says = {None: "<span class='muted'>not measured</span>", True: "<span class='holds'>met</span>"}
    rows = (
        [
            escape(one.name),
            _fixed(one.value, 1),
            escape(one.wanted),
            says.get(one.met, "<span class='not'>not met</span>"),
        ]
        for one in summary.properties
    )
    return _table(("property", "value", "wanted", ""), rows)


def _cost_table(summary: StudySummary) -> str:
    titles = ("arm", "responses", "sampled tokens", "trained tokens", "updates", "seconds")
    rows = ([escape(one.name), *(f"{value:,.0f}" for value in one.cost.model_dump().values())] for one in summary.arms)
    return _table(titles, rows)


def _cards(runs: Sequence[StudyRun]) -> Iterable[str]:
    by_arm: dict[str, list[StudyRun]] = {}
    for run in runs:
        by_arm.setdefault(run.arm, []).append(run)
    told = "Means over the seeds; the band is their 95 % interval."
    yield _card("Greedy on test-ID", _learning(by_arm, lambda one: one.tests.get("test_id"), "accuracy, %"), told)
    yield _card("Greedy on test-OOD", _learning(by_arm, lambda one: one.tests.get("test_ood"), "accuracy, %"), told)
    sampled = _learning(by_arm, lambda one: one.sampled_accuracy, "correct responses, %")
    yield _card("Sampled on validation", sampled, told)
    yield _card("Pass@K on validation", _learning(by_arm, lambda one: one.pass_at_k, "Pass@K, %"), told)
    reward = _learning(by_arm, lambda one: one.reward_pass_at_2, "Reward-Pass@2, %")
    yield _card("Reward-Pass@2, static against dynamic", reward, "Arms with a fixed temperature and with a controller.")
    yield _card("Temperature", _temperatures(by_arm), "Means over the seeds of what the iterations sampled with.")


def _card(title: str, drawn: str, told: str) -> str:
    return f"<div class='card'><h3>{escape(title)}</h3>{drawn}<p class='muted'>{escape(told)}</p></div>"


def _learning(by_arm: dict[str, list[StudyRun]], read: Read, y_label: str) -> str:
    lines, bands = [], []
    for arm, runs in by_arm.items():
        found = _over_iterations(runs, read)
        if any(values for values in found.values()):
            ends = {place: _band(values) for place, values in found.items()}
            lines.append(ChartLine(arm, [(x, 100 * fmean(values) if values else None) for x, values in found.items()]))
            low, high = ([(x, end[side]) for x, end in ends.items()] for side in (0, 1))
            bands.append(Band(arm, low, high))
    return chart(lines, "iteration (0: warm-up)", y_label, bands=bands)


def _over_iterations(runs: Sequence[StudyRun], read: Read) -> dict[float, list[float]]:
    """Values of all seeds by iteration, warm-up as 0."""
    found: dict[float, list[float]] = {}
    for run in runs:
        for policy in run.policies:
            # The axis begins with the warm-up, from which all arms go on.
            number = iteration_of(policy.label)
            if policy.label == BASE or (number is None and policy.label != WARMUP):
                continue
            values = found.setdefault(float(number or 0), [])
            if (value := read(policy)) is not None:
                values.append(value)
    return dict(sorted(found.items()))


def _band(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The interval of a mean over seeds, in percent; none with one seed."""
    if len(values) < 2:
        return None, None
    # Student's interval of a mean of this many seeds, both sides together 95 %.
    half = quantile(0.975, len(values) - 1) * stdev(values) / sqrt(len(values))
    # With two seeds an interval can be wider than all that there is.
    return 100 * max(0.0, fmean(values) - half), 100 * min(1.0, fmean(values) + half)


def _temperatures(by_arm: dict[str, list[StudyRun]]) -> str:
    lines = []
    for arm, runs in by_arm.items():
        found: dict[float, list[float]] = {}
        for run in runs:
            for one in run.iterations:
                found.setdefault(float(one.index), []).append(one.temperature)
        # A fixed temperature is a flat line that says nothing.
        if len({t for values in found.values() for t in values}) > 1:
            lines.append(ChartLine(arm, [(x, fmean(values)) for x, values in sorted(found.items())]))
    return chart(lines, "iteration", "temperature of an arm with a controller")


def _spread(one: Spread | None) -> list[str]:
    return ["", ""] if one is None else [f"{one.mean:.1f}", _fixed(one.sd, 1)]


def _gain(one: Gain) -> list[str]:
    return [f"{one.mean:+.1f}", _interval(one.low, one.high)]


def _interval(low: float | None, high: float | None) -> str:
    return "one seed" if low is None or high is None else f"{low:+.1f} to {high:+.1f}"


def _fixed(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"
