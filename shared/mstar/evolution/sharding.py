"""Which questions of which split a phase of a run samples, cut into shards, and when a sweep precedes an iteration."""

from enum import Enum, auto

from mstar.recipes import ExplorationMode, Recipe
from mstar.step_names import evaluation_step, iteration_of

UNLABELLED = "unlabelled"
"""Split of the questions without an answer."""


class Draws(Enum):
    """How an evaluation samples a shard."""

    GREEDY = auto()
    SAMPLED = auto()
    """n responses at the evaluation's temperature, which the PRM scores."""
    SPREAD = auto()
    """n responses at each further temperature."""


def sweep_precedes(recipe: Recipe, iteration: int) -> bool:
    """Whether a temperature sweep comes before this iteration (1-based)."""
    plan = recipe.exploration
    if plan.mode is ExplorationMode.FIXED or iteration < plan.start:
        return False
    # The first iterations run at the recipe's temperature: the paper sweeps every second one.
    return (iteration - plan.start) % plan.every == 0


def iteration_shards(recipe: Recipe, iteration: int) -> list[tuple[int, str, int, int]]:
    """(shard, split, first place, count) of all sampling that an iteration (1-based) trains on, labelled ones first."""
    plan, size = recipe.evolution, recipe.generation.shard_questions
    unlabelled = plan.unlabelled_in(iteration)
    # Labelled and unlabelled questions are two streams, and each goes on where the iteration before left it.
    before = sum(plan.unlabelled_in(one) for one in range(1, iteration))
    found = [
        ("train", (iteration - 1) * plan.questions - before + start, count)
        for _, start, count in shards_of(plan.questions - unlabelled, size)
    ]
    found += [(UNLABELLED, before + start, count) for _, start, count in shards_of(unlabelled, size)]
    # Numbered through both streams, since a shard's number alone names its steps.
    return [(shard, *one) for shard, one in enumerate(found)]


def evaluation_shards(recipe: Recipe, label: str) -> list[tuple[str, str, int, int, Draws]]:
    """(step name, split, first place, count, how it is sampled) of all sampling that one evaluation does."""
    validation = recipe.data.validation
    plan = [(split, split, size, Draws.GREEDY) for split, size in recipe.tests_after(iteration_of(label)).items()]
    plan += [("validation-greedy", "validation", validation, Draws.GREEDY)]
    plan += [("validation", "validation", validation, Draws.SAMPLED)]
    if recipe.evaluation.temperatures:
        plan += [("temperatures", "validation", validation, Draws.SPREAD)]
    return [
        (evaluation_step(label, kind, shard), split, start, count, draws)
        for kind, split, size, draws in plan
        for shard, start, count in rollout_shards(recipe, size, greedy=draws is Draws.GREEDY)
    ]


def rollout_shards(recipe: Recipe, questions: int, *, greedy: bool = False) -> list[tuple[int, int, int]]:
    """(shard, first place, count); greedy shards are larger, since each question gives one response only."""
    return shards_of(questions, recipe.generation.shard_questions * (8 if greedy else 1))


def shards_of(questions: int, size: int) -> list[tuple[int, int, int]]:
    """(shard, first place, count) of consecutive questions, `size` to a shard and the rest in the last."""
    return [(i, start, min(size, questions - start)) for i, start in enumerate(range(0, questions, size))]
