"""Messages between the worker and its training processes: one JSON object a line.

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
    """Share of a GPU's memory that other processes may hold when the step begins."""


class MoreInputs(Frozen):
    """Inputs of the current step that have arrived since its request."""

    inputs: dict[str, StepInput]


class RankProgress(Frozen):
    """Optimizer steps done, and their total in this train step."""

    kind: Literal["progress"] = "progress"
    done: int
    total: int


class Done(Frozen):
    """The checkpoint is written. Only the answer of rank 0 is used."""

    kind: Literal["done"] = "done"
    artefact: ArtefactRef
    result: TrainResult


class Failed(Frozen):
    """The step failed in this rank; `problem` rebuilds the error on the worker's side."""

    kind: Literal["failed"] = "failed"
    problem: dict[str, Any]


Reply = RankProgress | Done | Failed
REPLY: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="kind")])
