"""What a step is: a kind declared once (`Stage`), a queue, parameters, a result, and the artefact that it leaves.

A step is what a worker leases, does and commits once. Its name is a path inside its run (`step_names`), and its output
is named after it, so doing it again is harmless. Parameters name other steps, never files. The kinds themselves are in
`stages`, one file each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import ConfigDict, StringConstraints

from mstar.types import Frozen, Sha256


class Queue(StrEnum):
    """Celery queues, one for each kind of resource."""

    CONTROL = "control"
    ROLLOUT = "rollout"
    SCORE = "score"
    TRAIN = "train"


TASK_NAMES = {queue: f"mstar.{queue.value}.advance" for queue in Queue}
"""Celery task of each queue. Its one argument is a step id."""


def _require_kind(schema: dict[str, Any]) -> None:
    """Say in the JSON schema that `kind` must be sent: it tells the kinds apart, and each has its own as default."""
    # Pydantic leaves fields with a default out of `required`, and a discriminator must be sent.
    schema["required"] = sorted({*schema.get("required", ()), "kind"})


class StepParams(Frozen):
    """Base of what a step is asked to do."""

    model_config = ConfigDict(json_schema_extra=_require_kind)

    kind: str


class StepResult(Frozen):
    """Base of what a step reports when it is committed."""

    model_config = ConfigDict(json_schema_extra=_require_kind)

    kind: str


class DoneResult(StepResult):
    """Result of a step that has nothing to report but its artefact."""

    kind: Literal["done"] = "done"
    seconds: float = 0.0
    left: dict[str, str] | None = None
    """What a step without an artefact has left in the run's folder: digest by the name of a file or folder there."""


Params = TypeVar("Params", bound=StepParams)
Result = TypeVar("Result", bound=StepResult)


@dataclass(frozen=True)
class Stage(Generic[Params, Result]):
    """The declaration of one kind of step. Queues, unions, commit checks and worker tables all derive from it."""

    params: type[Params]
    result: type[Result]
    queue: Queue
    """Where its worker waits."""
    artefact: bool = True
    """Each step leaves an artefact; False: its output is its result, or lies outside the artefact store."""
    shown: bool = False
    """A run's numbers are made of its results."""
    sharded: bool = False
    """One step for each shard of the questions."""
    light: Callable[[Params], bool] = lambda _: False
    """Steps that need no device: the control queue takes these instead."""

    @property
    def kind(self) -> str:
        """Name of the kind, which tells parameters and results apart on the wire."""
        return str(self.params.model_fields["kind"].default)

    @property
    def result_kind(self) -> str:
        """Kind of its result: its own, or `done` where there is nothing to report."""
        return str(self.result.model_fields["kind"].default)

    def narrow(self, params: StepParams) -> Params:
        """Parameters as this kind declares them. Raises TypeError for those of another kind."""
        if not isinstance(params, self.params):
            raise TypeError(f"parameters of kind {params.kind} are not those of a {self.kind} step")
        return params

    def queue_of(self, params: Params) -> Queue:
        """The queue of a step with these parameters."""
        return Queue.CONTROL if self.light(params) else self.queue


ArtefactId = Annotated[
    str,
    StringConstraints(max_length=160, pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*){0,7}$"),
]
"""A path below the artefact root. Short enough to be one file name as well, escaped, with room for a prefix."""


class ArtefactRef(Frozen):
    """An immutable artefact: its id and the SHA-256 of its manifest."""

    id: ArtefactId
    sha256: Sha256

    @property
    def version(self) -> str:
        """How weights made from this artefact are named in every reply: `id@first-12-digits`."""
        return f"{self.id}@{self.sha256[:12]}"
