"""What a tracker is sent of a run, under the names of the field. Pure: the same for every tracker.

Two axes: `iteration` (0 is what there is before the first one), and `update` for losses, which counts the optimizer's
updates of all iterations.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from mstar.api.samples import QuestionSamples
from mstar.results import IterationResult, Milestone, RunResults
from mstar.types import Frozen

COLUMNS = ("question", "response", "right", "reason", "steps")
TABLE = "samples"


class Scalar(Frozen):
    """One point of a curve."""

    name: str
    axis: Literal["iteration", "update"]
    step: int
    value: float


def scalars(results: RunResults) -> list[Scalar]:
    """Every number that is known by now. It only grows while a run goes on, apart from a run that is repaired."""
    found = [
        *_milestone("base", 0, results.test.get("base")),
        *_milestone("warmup", 0, results.test.get("warmup")),
        *(one for iteration in results.iterations for one in _iteration(iteration)),
        *_milestone("final", len(results.iterations), results.test.get("final")),
    ]
    for sweep in results.sweeps:
        step = sweep.iteration
        found += _points(step, {f"sweep/at_T{temperature}": value for temperature, value in sweep.curve.items()})
        found += _points(step, {"sweep/chosen_temperature": sweep.chosen})
    losses = [loss for iteration in results.iterations for loss in iteration.losses]
    return [*found, *(Scalar(name="train/loss", axis="update", step=n, value=loss) for n, loss in enumerate(losses, 1))]


def sample_rows(samples: Sequence[QuestionSamples]) -> list[tuple[str, ...]]:
    """Rows of the table of an iteration's samples (`COLUMNS`): the first response to each question."""
    return [
        (
            one.question.text,
            sample.response.response.text,
            "yes" if sample.response.verdict.correct else "no",
            sample.response.verdict.reason,
            "" if sample.scores is None else " ".join(f"{score:.2f}" for score in sample.scores.scores),
        )
        for one in samples
        for sample in one.responses[:1]
    ]


def _milestone(label: str, step: int, found: Milestone | None) -> Iterator[Scalar]:
    if found is None:
        return
    numbers = {
        "accuracy_id": found.id,
        "accuracy_ood": found.ood,
        "pass_at_k": found.pass_at_k,
        "reward_pass_at_2": found.reward_pass_at_2,
        "headroom": found.headroom,
        **{f"accuracy_{name}": value for name, value in found.sets.items()},
    }
    yield from _points(step, {f"{label}/{name}": value for name, value in numbers.items()})


def _iteration(found: IterationResult) -> Iterator[Scalar]:
    yield from _points(
        found.index,
        {
            "eval/accuracy_id": found.greedy,
            "eval/accuracy_ood": found.ood,
            "eval/pass_at_k": found.pass_at_k,
            "eval/reward_pass_at_2": found.reward_pass_at_2,
            "eval/headroom": found.headroom,
            **{f"eval/accuracy_{name}": value for name, value in found.sets.items()},
            "rollout/temperature": found.temperature,
            "rollout/accuracy": found.sampled_accuracy,
            "rollout/questions": found.questions,
            "rollout/responses": found.responses,
            "rollout/kept": found.kept,
            "rollout/sound_among_kept": found.sound_among_kept,
            "time/iteration_seconds": found.seconds,
        },
    )


def _points(step: int, numbers: dict[str, float | None]) -> Iterator[Scalar]:
    for name, value in numbers.items():
        if value is not None:
            yield Scalar(name=name, axis="iteration", step=step, value=value)
