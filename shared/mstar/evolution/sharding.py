"""Which questions of which split a phase of a run samples, cut into shards, and when a sweep precedes an iteration."""

from mstar.recipes import ExplorationMode, Recipe

UNLABELLED = "unlabelled"
"""Split of the questions without an answer."""


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


def shards_of(questions: int, size: int) -> list[tuple[int, int, int]]:
    """(shard, first place, count) of consecutive questions, `size` to a shard and the rest in the last."""
    return [(i, start, min(size, questions - start)) for i, start in enumerate(range(0, questions, size))]
