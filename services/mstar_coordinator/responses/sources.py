"""Where the responses of a run come from: the stages that sampled them, and those that scored or chose. Pure.

A run has the warm-up and its iterations; an evaluation has a set where a run has an iteration, counted from 0.
"""

from dataclasses import dataclass

from mstar.judges.in_runs import official_sets
from mstar.recipes import Recipe
from mstar.stages.generate import GENERATE
from mstar.stages.score import SCORE
from mstar.stages.select import SELECT
from mstar.step_names import evaluation_step, sampling_phase, step_name


@dataclass(frozen=True)
class Source:
    """Responses that the index keeps together."""

    number: int
    """What the index files it under as its iteration."""
    title: str
    """What people call it."""
    sampled: str
    """The stage whose shards hold the responses."""
    judged: str
    """The stage that chose of them, or in an evaluation scored them."""


def sources_of(recipe: Recipe, iterations: int) -> tuple[Source, ...]:
    """The sources of a run of this many iterations, in order."""
    if recipe.measure is None:
        return tuple(_of_iteration(number) for number in range(iterations + 1))
    return tuple(
        Source(
            number,
            benchmark.title,
            evaluation_step(name, GENERATE.kind),
            evaluation_step(name, SCORE.kind),
        )
        for number, (name, benchmark) in enumerate(official_sets(recipe).items())
    )


def _of_iteration(number: int) -> Source:
    phase = sampling_phase(number)
    title = f"iteration {number}" if number else "warm-up"
    return Source(number, title, step_name(phase, GENERATE.kind), step_name(phase, SELECT.kind))
