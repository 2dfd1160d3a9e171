"""Prepare: bring data set and base model into the artefact store."""

from typing import Literal

from mstar.data_check import DataCheck
from mstar.steps import Queue, Stage, StepParams, StepResult


class PrepareParams(StepParams):
    """Nothing but the recipe decides what is prepared."""

    kind: Literal["prepare"] = "prepare"


class PrepareResult(StepResult):
    """What was found out about the data set."""

    kind: Literal["prepare"] = "prepare"
    seconds: float = 0.0
    data: DataCheck = DataCheck()


PREPARE = Stage(PrepareParams, PrepareResult, Queue.CONTROL, shown=True)
