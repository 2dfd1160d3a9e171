"""What every step's work may use: artefacts, images, the two model services, and the inputs of its claim."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from mstar.api.steps import Claim
from mstar.errors import NotFound
from mstar.results import RunResults
from mstar.steps import ArtefactRef, StepResult
from mstar_artefacts.images import ImageStore
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.worker.replicas import Policy, Prm

Row = TypeVar("Row", bound=BaseModel)
Done = tuple[ArtefactRef | None, StepResult]


@dataclass(frozen=True)
class Context:
    """Collaborators of a worker process."""

    home: Path
    """Folder that has the runs' folders, which is the coordinator's."""
    store: ArtefactStore
    images: ImageStore
    policy: Policy
    prm: Prm
    results: Callable[[str], RunResults]
    """A run's numbers, from the coordinator's API."""


def artefact_of(claim: Claim, step: str) -> ArtefactRef:
    """Artefact of a step this one needs. Raises NotFound when the claim came without it."""
    given = claim.inputs.get(step)
    if given is None or given.artefact is None:
        raise NotFound(f"step {claim.step.name} was claimed without the artefact of {step}")
    return given.artefact


def rows_of(context: Context, claim: Claim, steps: Sequence[str], kind: type[Row]) -> Iterator[Row]:
    """Rows of several steps, one step after the other in the order given."""
    for step in steps:
        yield from context.store.rows(artefact_of(claim, step), kind)


def write_once(
    context: Context, claim: Claim, kind: type[Row], make: Callable[[], Iterable[Row]], metadata: dict[str, Any]
) -> tuple[ArtefactRef, list[Row]]:
    """The step's row artefact and what stands in it.

    An attempt that died between artefact and commit is not repeated: its rows are adopted. Results are counted over the
    rows returned here, so they describe the artefact whoever wrote it.
    """
    ref = context.store.adopt(claim.output_id) or context.store.write_rows(claim.output_id, make(), metadata)
    return ref, list(context.store.rows(ref, kind))
