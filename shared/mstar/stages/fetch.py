"""Fetch: bring the reward model that a recipe names into the artefact store, to score with or to train from."""

from typing import Literal

from mstar.steps import DoneResult, Queue, Stage, StepParams


class FetchParams(StepParams):
    """Nothing but the recipe decides what is fetched. Output: `model/`."""

    kind: Literal["fetch"] = "fetch"


FETCH = Stage(FetchParams, DoneResult, Queue.CONTROL)
