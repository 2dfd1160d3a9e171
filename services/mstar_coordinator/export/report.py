"""`report.html`: a run in one file that opens anywhere, with curves, tables, and responses tinted by their step scores.

Everything that a model or a data set wrote is escaped by the template. There is no script and nothing is loaded.
"""

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mstar.charts import Band, ChartLine, chart
from mstar.data_check import check_lines
from mstar.layout import ANSWER_HEADING, STEP_SEPARATOR, scored_segments
from mstar.model_types import untried_lines
from mstar.ranking_quality import Ranking, ranking_together
from mstar.recipes import ExplorationMode
from mstar.results import IterationResult, Milestone, RunResults
from mstar.reward import Aggregate, RewardRule, aggregated, reward
from mstar.types import CheckedResponse, Question, RolloutRow, ScoreRow, StepScores
from mstar_coordinator.export.cards import percent, table_rows, table_titles
from mstar_coordinator.export.datasets import image_ending


@dataclass(frozen=True)
class ShownSample:
    """One question with its responses, for the sample browser."""

    question: Question
    images: tuple[bytes, ...]
    """Those of the question that are there, in its order."""
    rollouts: RolloutRow
    scores: ScoreRow | None
    kept: frozenset[int]
    iteration: int


@dataclass(frozen=True)
class TintedStep:
    """A piece of a response as it is shown."""

    text: str
    score: float | None
    colour: str
    least: bool


@dataclass(frozen=True)
class _Response:
    steps: tuple[TintedStep, ...]
    correct: bool
    reason: str
    kept: bool
    reward: float | None


_TEMPLATES = Environment(
    # A name that a template misspells is an error, not an empty place in the report.
    loader=PackageLoader("mstar_coordinator.export"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)


def render_report(results: RunResults, samples: Sequence[ShownSample]) -> str:
    """The report as HTML."""
    return _TEMPLATES.get_template("report.html.j2").render(
        percent=percent,
        gain=_gain(results),
        data_lines=(*untried_lines(results.untried), *check_lines(results.data)),
        sweeps=Markup(_sweeps(results)),  # noqa: S704 - our own SVG, whose texts are escaped
        saturation=Markup(_saturation(results)),  # noqa: S704
        group_tables=_group_tables(results),
        validation=list(_validation(results)),
        ranking=list(_rankings(results)),
        samples=[shown(sample, results.recipe.reward_rule) for sample in samples],
        **figures(results),
    )


def figures(results: RunResults) -> dict[str, Any]:
    """What a template needs to show a run's numbers: the table's rows, the charts, and accuracy by task group."""
    return {
        "results": results,
        "titles": table_titles(results),
        "rows": list(table_rows(results)),
        "learning": Markup(_learning(results)),  # noqa: S704 - our own SVG, whose texts are escaped
        "losses": Markup(_losses(results)),  # noqa: S704
        "groups": _groups(results),
    }


def _gain(results: RunResults) -> float | None:
    """Greedy accuracy on test-ID, last policy less warm-up; None until both are measured."""
    if "warmup" not in results.test or not results.iterations or results.iterations[-1].greedy is None:
        return None
    return results.iterations[-1].greedy - results.test["warmup"].id


def _learning(results: RunResults) -> str:
    starts = [(name, results.test[name]) for name in ("base", "warmup") if name in results.test]
    names = [name for name, _ in starts] + [str(one.index) for one in results.iterations]
    passed = f"Pass@{results.recipe.evaluation.k}"
    series = {
        "greedy ID": [made.id for _, made in starts] + [one.greedy for one in results.iterations],
        "greedy OOD": [made.ood for _, made in starts] + [one.ood for one in results.iterations],
        **{
            name: [made.sets.get(name) for _, made in starts] + [one.sets.get(name) for one in results.iterations]
            for name in results.recipe.evaluation.sets
        },
        passed: [made.pass_at_k for _, made in starts] + [one.pass_at_k for one in results.iterations],
        "Reward-Pass@2": [m.reward_pass_at_2 for _, m in starts] + [o.reward_pass_at_2 for o in results.iterations],
    }
    points = {
        name: [(float(x), None if y is None else 100 * y) for x, y in enumerate(ys)] for name, ys in series.items()
    }
    return chart(
        [ChartLine(name, values) for name, values in points.items()],
        "iteration",
        "accuracy, %",
        x_names=[(float(x), name) for x, name in enumerate(names)],
        band=Band("headroom", points["greedy ID"], points[passed]),
    )


def _losses(results: RunResults) -> str:
    points: list[tuple[float, float | None]] = []
    begins: list[tuple[float, str]] = []
    for one in results.iterations:
        if one.losses:
            begins.append((len(points) + 1.0, f"it {one.index}"))
        # One axis for all iterations, since a continuous run goes on with the same optimizer.
        points += [(len(points) + step, loss) for step, loss in enumerate(one.losses, 1)]
    return chart([ChartLine("loss", points)], "optimizer steps since warm-up", "loss, nats per token", x_names=begins)


def _sweeps(results: RunResults) -> str:
    lines = [
        ChartLine(
            f"before it {one.iteration}",
            [(float(t), 100 * value) for t, value in one.curve.items()],
            ring=one.chosen,
        )
        for one in results.sweeps
    ]
    plan = results.recipe.exploration
    metric = "Pass" if plan.mode is ExplorationMode.PASS else "Reward-Pass"
    return chart(lines, "temperature", f"{metric}@{plan.k} on validation, %")


SHOWN_TEMPERATURES = 6
"""Lines of the saturation chart; all temperatures are in `results.json`."""


def _saturation(results: RunResults) -> str:
    """Pass@K over the iterations, a line for each temperature: of evaluations that have several, else of sweeps."""
    starts = [(0.0, one.validation) for name in ("warmup",) if (one := results.test.get(name))]
    measured = [(float(one.index), one.validation) for one in results.iterations]
    by_policy = [(at, one.pass_by_temperature) for at, one in (*starts, *measured) if one is not None]
    passes = results.recipe.evaluation.k
    if not any(len(curve) > 1 for _, curve in by_policy):
        # A sweep before an iteration measures the policy after the one before.
        by_policy = [(float(one.iteration - 1), one.pass_at_k) for one in results.sweeps]
        passes = results.sweeps[-1].passes if results.sweeps else passes
    # Temperatures are texts, as the keys of JSON objects are.
    known = sorted({temperature for _, curve in by_policy for temperature in curve}, key=float)
    # Rounded up, so that at most this many lines are drawn.
    every = max(1, -(-len(known) // SHOWN_TEMPERATURES))
    lines = [
        ChartLine(
            f"T {temperature}", [(at, 100 * curve[temperature]) for at, curve in by_policy if temperature in curve]
        )
        for temperature in known[::every]
    ]
    return chart(
        lines, "iteration", f"Pass@{passes} on validation, %", x_names=[(at, f"{at:g}") for at, _ in by_policy]
    )


def _group_tables(results: RunResults) -> list[tuple[str, list[tuple[str, ...]]]]:
    """(test, rows of group, base, warm-up, final) of each test after test-ID, which has a table of its own."""
    made = [results.test.get(name) for name in ("base", "warmup", "final")]
    tables = []
    for test in results.recipe.tests:
        own = [one.groups.get(test, {}) if one else {} for one in made]
        groups = sorted({group for one in own for group in one})
        if groups and test != "test_id":
            tables.append((test, [(group, *(percent(one.get(group)) for one in own)) for group in groups]))
    return tables


def _validation(results: RunResults) -> Iterator[tuple[str, ...]]:
    """Policy, greedy, majority, PRM-weighted vote, best-of-n, Reward-Pass@2, Pass@K and headroom, on validation."""
    named: list[tuple[str, Milestone | IterationResult]] = [
        (name, results.test[name]) for name in ("base", "warmup") if name in results.test
    ]
    named += [(f"iteration {one.index}", one) for one in results.iterations]
    for name, one in named:
        if (own := one.validation) is not None:
            votes = (own.greedy, own.majority, own.weighted_vote, own.best_of_n)
            yield (name, *map(percent, (*votes, one.reward_pass_at_2, one.pass_at_k, one.headroom)))


_SIDES: tuple[Callable[[int], bool], ...] = (lambda more: more < 0, lambda more: more == 0, lambda more: more > 0)
"""Steps of the unsound response, less those of the sound one."""


def _rankings(results: RunResults) -> Iterator[tuple[str, ...]]:
    """Where, pairs, share; then the share for unsound chains with fewer, as many and more steps."""
    for one in results.iterations:
        places = [(f"selection of iteration {one.index}", one.ranking)]
        places += [(f"validation after iteration {one.index}", one.validation.ranking)] if one.validation else []
        for name, made in places:
            if made.all.pairs:
                sides = [
                    ranking_together(Ranking(all=pairs) for steps, pairs in made.by_steps.items() if side(int(steps)))
                    for side in _SIDES
                ]
                shares = (percent(side.all.share) for side in (made, *sides))
                yield (name, str(made.all.pairs), *shares)


def _groups(results: RunResults) -> list[tuple[str, ...]]:
    """(group, base, warm-up, final) greedy accuracy on test-ID."""
    made = [results.test.get(name) for name in ("base", "warmup", "final")]
    groups = sorted({group for one in made if one for group in one.by_task})
    return [(group, *(percent(one.by_task.get(group)) if one else "" for one in made)) for group in groups]


def shown(sample: ShownSample, rule: RewardRule) -> dict[str, object]:
    """What a template needs to show a question's responses, the best first, each with its steps and their scores."""
    scores = {one.index: one for one in sample.scores.responses} if sample.scores else {}
    responses = []
    for checked in sample.rollouts.responses:
        scored = scores.get(checked.index)
        responses.append(
            _Response(
                steps=_steps(checked, scored, rule, sample.rollouts.step_separator),
                correct=checked.verdict.correct,
                reason=checked.verdict.reason,
                kept=checked.index in sample.kept,
                reward=reward(scored, checked.verdict.extracted, rule) if scored else None,
            )
        )
    # Rewards lie in [0, 1], so those without one come last.
    responses.sort(key=lambda one: -1.0 if one.reward is None else one.reward, reverse=True)
    return {
        "question": sample.question,
        "images": [_data_url(image) for image in sample.images],
        "iteration": sample.iteration,
        "temperature": sample.rollouts.temperature,
        "responses": responses,
    }


def _data_url(image: bytes) -> str:
    kind = image_ending(image).replace("jpg", "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def _steps(
    checked: CheckedResponse, scored: StepScores | None, rule: RewardRule, separator: str
) -> tuple[TintedStep, ...]:
    pieces, scores = ((), ()) if scored is None else (scored.steps, scored.scores)
    return tinted(checked.response.text, pieces, scores, checked.verdict.extracted, rule, separator)


def tinted(
    text: str,
    steps: Sequence[str],
    scores: Sequence[float],
    answer: str | None,
    rule: RewardRule,
    separator: str = STEP_SEPARATOR,
) -> tuple[TintedStep, ...]:
    """The pieces of a response as they are shown, tinted where they have a score; the answer's heading in one line.

    `steps`, `scores`: [steps] each, empty where nothing was scored; then the text is cut. `answer`: the bare answer.
    """
    if not steps:
        cut = scored_segments(text, separator)
        return tuple(TintedStep(_in_line(piece), None, "transparent", False) for piece in cut)
    # By the run's own rule, which may leave the answer block out; whatever its aggregate, the least step is marked.
    lowest = aggregated(steps, scores, answer, rule.model_copy(update={"aggregate": Aggregate.MIN}))
    return tuple(
        TintedStep(_in_line(piece), score, _colour(score), score == lowest)
        for piece, score in zip(steps, scores, strict=True)
    )


def _in_line(piece: str) -> str:
    return f"answer: {piece.removeprefix(ANSWER_HEADING).strip()}" if piece.startswith(ANSWER_HEADING) else piece


def _colour(score: float) -> str:
    """From orange over white to blue, which colour-blind readers can tell apart."""
    # 0 at 0.5 and at most 0.75, so that the text stays readable.
    strength = round(abs(score - 0.5) * 2 * 0.75, 2)
    return f"rgba(0,114,178,{strength})" if score >= 0.5 else f"rgba(213,94,0,{strength})"
