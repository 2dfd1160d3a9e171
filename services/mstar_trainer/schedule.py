"""The learning rate: a function of the recipe and the global step, and of nothing else."""

from mstar.recipes import TrainRecipe


def learning_rate(settings: TrainRecipe, global_step: int) -> float:
    """Rate of the update number `global_step`, counted from 0 over the whole run: a linear rise, then constant.

    It depends on nothing else: a schedule made from the length of an iteration would not be continuous (paper,
    section 2: continuous self-evolving training keeps the schedule).
    """
    if global_step >= settings.warmup_steps:
        return settings.learning_rate
    return settings.learning_rate * (global_step + 1) / (settings.warmup_steps + 1)
