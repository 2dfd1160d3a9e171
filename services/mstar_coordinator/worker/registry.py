"""Which work does which kind of step, bound to a worker's collaborators."""

from collections.abc import Callable
from functools import partial

from mstar.api.steps import Claim
from mstar_coordinator.worker.context import Context, Done
from mstar_coordinator.worker.steps import choose, collect, evaluate, generate, label, prepare, publish, score, select
from mstar_worker.lease import Handler, Progress

WORK: dict[str, Callable[[Claim, Progress, Context], Done]] = {
    "prepare": prepare.run,
    "generate": generate.run,
    "score": score.run,
    "label": label.run,
    "collect": collect.run,
    "select": select.run,
    "choose": choose.run,
    "evaluate": evaluate.run,
    "publish": publish.run,
}


def handlers(context: Context) -> dict[str, Handler]:
    """A handler for every kind of step but `train`, which is the trainer's."""
    return {kind: partial(_work, work, context) for kind, work in WORK.items()}


def _work(work: Callable[[Claim, Progress, Context], Done], context: Context, claim: Claim, progress: Progress) -> Done:
    return work(claim, progress, context)
