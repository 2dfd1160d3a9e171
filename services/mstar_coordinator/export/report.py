"""`report.html`: a run in one file that opens anywhere, with curves, tables, and responses tinted by their step scores.

Everything that a model or a data set wrote is escaped by the template. There is no script and nothing is loaded.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mstar.charts import Band, Line, chart
from mstar.data_check import check_lines
from mstar.layout import ANSWER_HEADING, scored_segments
from mstar.recipes import ExplorationMode
from mstar.results import RunResults
from mstar.reward import Aggregate, RewardRule, aggregated, reward
from mstar.types import CheckedResponse, Question, RolloutRow, ScoreRow, StepScores
from mstar_coordinator.export.cards import percent, table_rows, table_titles
from mstar_coordinator.export.datasets import image_ending


@dataclass(frozen=True)
class Sample:
    """One question with its responses, for the sample browser."""

    question: Question
    image: bytes
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
    loader=PackageLoader("mstar_coordinator.export"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)


def render_report(results: RunResults, samples: Sequence[Sample]) -> str:
    """The report as HTML."""
    return _TEMPLATES.get_template("report.html.j2").render(
        percent=percent,
        gain=_gain(results),
        data_lines=check_lines(results.data),
        sweeps=Markup(_sweeps(results)),  # noqa: S704 - our own SVG, whose texts are escaped
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
        [Line(name, values) for name, values in points.items()],
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
        points += [(len(points) + step, loss) for step, loss in enumerate(one.losses, 1)]
    return chart([Line("loss", points)], "optimizer steps since warm-up", "loss, nats per token", x_names=begins)


def _sweeps(results: RunResults) -> str:
    lines = [
        Line(
            f"before it {one.iteration}",
            [(float(t), 100 * value) for t, value in one.curve.items()],
            ring=one.chosen,
        )
        for one in results.sweeps
    ]
    plan = results.recipe.exploration
    metric = "Pass" if plan.mode is ExplorationMode.PASS else "Reward-Pass"
    return chart(lines, "temperature", f"{metric}@{plan.k} on validation, %")


def _groups(results: RunResults) -> list[tuple[str, ...]]:
    """(group, base, warm-up, final) greedy accuracy on test-ID."""
    made = [results.test.get(name) for name in ("base", "warmup", "final")]
    groups = sorted({group for one in made if one for group in one.by_task})
    return [(group, *(percent(one.by_task.get(group)) if one else "" for one in made)) for group in groups]


def shown(sample: Sample, rule: RewardRule) -> dict[str, object]:
    """What a template needs to show a question's responses, the best first, each with its steps and their scores."""
    scores = {one.index: one for one in sample.scores.responses} if sample.scores else {}
    responses = []
    for checked in sample.rollouts.responses:
        scored = scores.get(checked.index)
        responses.append(
            _Response(
                steps=_steps(checked, scored, rule),
                correct=checked.verdict.correct,
                reason=checked.verdict.reason,
                kept=checked.index in sample.kept,
                reward=reward(scored, checked.verdict.extracted, rule) if scored else None,
            )
        )
    responses.sort(key=lambda one: -1.0 if one.reward is None else one.reward, reverse=True)
    kind = image_ending(sample.image).replace("jpg", "jpeg")
    return {
        "question": sample.question,
        "image": f"data:image/{kind};base64,{base64.b64encode(sample.image).decode()}",
        "iteration": sample.iteration,
        "temperature": sample.rollouts.temperature,
        "responses": responses,
    }


def _steps(checked: CheckedResponse, scored: StepScores | None, rule: RewardRule) -> tuple[TintedStep, ...]:
    pieces, scores = ((), ()) if scored is None else (scored.steps, scored.scores)
    return tinted(checked.response.text, pieces, scores, checked.verdict.extracted, rule)


def tinted(
    text: str, steps: Sequence[str], scores: Sequence[float], answer: str | None, rule: RewardRule
) -> tuple[TintedStep, ...]:
    """The pieces of a response as they are shown, tinted where they have a score; the answer's heading in one line.

    `steps`, `scores`: [steps] each, empty where nothing was scored; then the text is cut. `answer`: the bare answer.
    """
    if not steps:
        return tuple(TintedStep(_in_line(piece), None, "transparent", False) for piece in scored_segments(text))
    lowest = aggregated(steps, scores, answer, rule.model_copy(update={"aggregate": Aggregate.MIN}))
    return tuple(
        TintedStep(_in_line(piece), score, _colour(score), score == lowest)
        for piece, score in zip(steps, scores, strict=True)
    )


def _in_line(piece: str) -> str:
    return f"answer: {piece.removeprefix(ANSWER_HEADING).strip()}" if piece.startswith(ANSWER_HEADING) else piece


def _colour(score: float) -> str:
    """From orange over white to blue, which colour-blind readers can tell apart."""
    strength = round(abs(score - 0.5) * 2 * 0.75, 2)
    return f"rgba(0,114,178,{strength})" if score >= 0.5 else f"rgba(213,94,0,{strength})"
