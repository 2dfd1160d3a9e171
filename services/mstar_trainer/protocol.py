"""What the worker and its resident child processes say to each other: one JSON object a line.

The worker writes a TrainRequest to the standard input of every rank, and MoreInputs until the step has all of its own;
every rank answers with any number of RankProgress lines and then one Done or Failed. There is no transport here and no
torch, so both sides can import it.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from mstar.api.steps import Claim, StepInput
from mstar.stages.train import TrainResult
from mstar.steps import ArtefactRef
from mstar.types import Frozen
from mstar_artefacts.storage import Storage


class TrainRequest(Frozen):
    """Do the train step of this claim."""

    claim: Claim
    storage: Storage
    """Where artefacts and images are."""
    busy_share: float = 1.0
    """Of a GPU's memory, what others may hold when it begins."""


class MoreInputs(Frozen):
    """Inputs of the step at hand that have arrived since."""

    inputs: dict[str, StepInput]


class RankProgress(Frozen):
    """Optimizer steps done of all that this train step has."""

    kind: Literal["progress"] = "progress"
    done: int
    total: int


class Done(Frozen):
    """The checkpoint is written. Only what rank 0 says is used."""

    kind: Literal["done"] = "done"
    artefact: ArtefactRef
    result: TrainResult


class Failed(Frozen):
    """The step failed in this rank; `problem` rebuilds the error on the worker's side."""

    kind: Literal["failed"] = "failed"
    problem: dict[str, Any]


Reply = RankProgress | Done | Failed
REPLY: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="kind")])
