"""Prepare: bring data set and base model into the artefact store."""

from typing import Literal

from mstar.steps import DoneResult, Queue, Stage, StepParams


class PrepareParams(StepParams):
    """Nothing but the recipe decides what is prepared."""

    kind: Literal["prepare"] = "prepare"


PREPARE = Stage(PrepareParams, DoneResult, Queue.CONTROL)
