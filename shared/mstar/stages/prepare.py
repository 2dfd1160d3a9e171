"""Prepare: bring data set and base model into the artefact store."""

from typing import Literal

from mstar.data_check import DataCheck
from mstar.steps import Queue, Stage, StepParams, StepResult


class PrepareParams(StepParams):
    """Nothing but the recipe decides what is prepared."""

    kind: Literal["prepare"] = "prepare"


class PrepareResult(StepResult):
    """What was found out about the data set and the models."""

    kind: Literal["prepare"] = "prepare"
    seconds: float = 0.0
    data: DataCheck = DataCheck()
    untried: tuple[str, ...] = ()
    """Types of the run's models that nobody has driven through the services, and that the operator allows."""


PREPARE = Stage(PrepareParams, PrepareResult, Queue.CONTROL, shown=True)
