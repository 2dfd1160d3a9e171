"""The learning rate: a function of the recipe and the update's place in the whole schedule, and of nothing else."""

import math

from mstar.train_recipe import Schedule, TrainRecipe


def learning_rate(settings: TrainRecipe, update: int, horizon: int | None = None) -> float:
    """Rate of the update number `update`, counted from 0 over the whole schedule.

    `horizon`: updates of the whole schedule, without which only a constant one is possible; after it the last rate
    stays. All rise on a line during `warmup_steps`. The length never comes from an iteration's rows: a schedule that
    did so would not be continuous (paper, section 2: continuous self-evolving training keeps the schedule). Cosine
    follows Loshchilov and Hutter (arXiv 1608.03983) without restarts, `wsd` Hu et al. (arXiv 2404.06395) with a linear
    decay.
    """
    if update < settings.warmup_steps:
        return settings.learning_rate * (update + 1) / (settings.warmup_steps + 1)
    if settings.schedule is Schedule.CONSTANT or horizon is None:
        return settings.learning_rate
    begin = settings.warmup_steps
    if settings.schedule is Schedule.WSD:
        begin = max(begin, horizon - round(settings.decay_share * horizon))
    update = min(update, horizon - 1)
    # The last update is one short of the end, where the rate may be 0.
    done = max(0.0, (update - begin) / max(1, horizon - begin))
    fall = (1 - math.cos(math.pi * done)) / 2 if settings.schedule is Schedule.COSINE else done
    return settings.learning_rate * (1 - (1 - settings.final_rate) * fall)
