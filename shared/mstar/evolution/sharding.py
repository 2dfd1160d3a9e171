"""Which questions of which split a phase of a run samples, cut into shards, and when a sweep precedes an iteration."""

from itertools import accumulate

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
    plan, size, taper = recipe.evolution, recipe.generation.shard_questions, recipe.generation.taper
    unlabelled = plan.unlabelled_in(iteration)
    # Labelled and unlabelled questions are two streams, and each goes on where the iteration before left it.
    before = sum(plan.unlabelled_in(one) for one in range(1, iteration))
    found = [
        ("train", (iteration - 1) * plan.questions - before + start, count)
        for _, start, count in shards_of(plan.questions - unlabelled, size, taper=taper)
    ]
    found += [(UNLABELLED, before + start, count) for _, start, count in shards_of(unlabelled, size, taper=taper)]
    # Numbered through both streams, since a shard's number alone names its steps.
    return [(shard, *one) for shard, one in enumerate(found)]


def shards_of(questions: int, size: int, *, taper: bool = False) -> list[tuple[int, int, int]]:
    """(shard, first place, count) of consecutive questions, `size` to a shard and the rest in the last.

    `taper`: shards grow at the beginning and shrink at the end, where a whole one fits between.
    """
    ends = small_shards(size) if taper else []
    between = questions - 2 * sum(ends)
    if between < size:
        ends, between = [], questions
    counts = [*ends, *(min(size, between - start) for start in range(0, between, size)), *reversed(ends)]
    return list(zip(range(len(counts)), accumulate(counts, initial=0), counts, strict=False))


def small_shards(size: int) -> list[int]:
    """Questions of the shards before the first whole one, where they taper: the smallest first."""
    return [size // part for part in (8, 4, 2) if size >= part]
