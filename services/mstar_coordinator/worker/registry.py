"""Which function does which kind of step: the `run` of the module in `steps` that has the name of its stage."""

from functools import partial
from importlib import import_module
from typing import Any, Protocol

from mstar.api.steps import Claim
from mstar.stages import STAGES
from mstar.steps import Queue, Stage
from mstar_coordinator.worker.context import ClaimedStep, Collaborators, Output
from mstar_worker.lease import Handler, ReportProgress


class StepFunction(Protocol):
    """The work of one kind of step."""

    def __call__(self, step: ClaimedStep[Any], /) -> Output[Any]: ...


def work_of(stage: Stage[Any, Any]) -> StepFunction:
    """The function that does a stage's steps. Raises ImportError where there is no module of its name."""
    # The name is one of our own stages, never what a message or a claim says.
    run: StepFunction = import_module(f"mstar_coordinator.worker.steps.{stage.kind}").run
    return run


def handlers(use: Collaborators) -> dict[str, Handler]:
    """A handler for every kind of step but those of the queue `train`, which are the trainer's."""
    stages = [stage for stage in STAGES.values() if stage.queue is not Queue.TRAIN]
    return {stage.kind: partial(_handle, stage, work_of(stage), use) for stage in stages}


def _handle(
    stage: Stage[Any, Any], run: StepFunction, use: Collaborators, claim: Claim, progress: ReportProgress
) -> Output[Any]:
    return run(ClaimedStep(claim, stage.narrow(claim.step.params), progress, use))
