"""Whether the first shards of a stage show that a run cannot earn any reward, and the words that say so. Pure.

What they show of the steps that responses are made of ends no run: people are told while they can still change it.
"""

from collections.abc import Iterable
from math import ceil

from mstar.outcomes import JUDGED_QUESTIONS, JUDGED_RESPONSES, Outcomes, explained, together, too_few, unparted
from mstar.recipes import Recipe
from mstar.stages import StepSpec
from mstar.stages.generate import GenerateParams, GenerateResult
from mstar.steps import StepResult


def may_be_futile(spec: StepSpec) -> bool:
    """Whether a step samples questions to train on; the others only measure, and a poor result ends no run."""
    return isinstance(spec.params, GenerateParams) and spec.params.split == "train"


def judged_shards(recipe: Recipe) -> int:
    """Shards of a stage that are looked at."""
    return ceil(JUDGED_QUESTIONS / recipe.generation.shard_questions)


def futile(recipe: Recipe, stage: str, shards: Iterable[StepResult | None], *, whole: bool) -> str | None:
    """Why the run should stop at this stage, or None. `whole`: all shards of the stage are there."""
    generation, seen = recipe.generation, _seen(shards)
    if not too_few(seen, seen.questions if whole else JUDGED_QUESTIONS, generation.least_solved):
        return None
    said = explained(seen, recipe.form.answer, generation.max_tokens)
    return (
        f"stopped after {stage}, since fewer than {100 * generation.least_solved:g} % of its questions can train: "
        f"{said} Try prompts with mstar try; resume goes on all the same"
    )


def without_steps(recipe: Recipe, shards: Iterable[StepResult | None], *, whole: bool) -> str:
    """What people should know of responses that are one step each; empty where they are not. `whole`: as above."""
    return unparted(_seen(shards), recipe.form.step_separator, 1 if whole else JUDGED_RESPONSES)


def _seen(shards: Iterable[StepResult | None]) -> Outcomes:
    return together([shard.outcomes for shard in shards if isinstance(shard, GenerateResult)])
