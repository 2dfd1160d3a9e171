"""A step that this worker has claimed, with everything that its work may use: inputs, artefacts, images, services."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from mstar.api.steps import Claim
from mstar.errors import NotFound
from mstar.recipes import Recipe
from mstar.results import RunResults
from mstar.steps import ArtefactRef, StepParams, StepResult
from mstar.types import RolloutRow, ScoreRow
from mstar_artefacts.images import ImageStore
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.worker.replicas import Policy, Prm
from mstar_data.looks import Looks
from mstar_worker.lease import ReportProgress

Row = TypeVar("Row", bound=BaseModel)
Params = TypeVar("Params", bound=StepParams, covariant=True)
Result = TypeVar("Result", bound=StepResult)
Value = TypeVar("Value")
Output = tuple[ArtefactRef | None, Result]
"""What the work of a step returns: its artefact, if its stage leaves one, and its result."""


@dataclass(frozen=True)
class Collaborators:
    """What a worker process talks to; the same for all its steps."""

    home: Path
    """Folder that has the runs' folders, which is the coordinator's."""
    store: ArtefactStore
    images: ImageStore
    looks: Callable[[], AbstractContextManager[Looks]]
    """Starts what decodes the pictures of a data set."""
    policy: Policy
    prm: Prm
    results: Callable[[str], RunResults]
    """A run's numbers, from the coordinator's API."""


@dataclass(frozen=True)
class ClaimedStep(Generic[Params]):
    """One claimed step, with its parameters as its stage declares them."""

    claim: Claim
    params: Params
    progress: ReportProgress
    """Call it with units done and to do, between pieces of work; it raises StaleEpoch once the lease is lost."""
    use: Collaborators

    @property
    def name(self) -> str:
        return self.claim.step.name

    @property
    def recipe(self) -> Recipe:
        return self.claim.recipe

    def artefact(self, step: str) -> ArtefactRef:
        """Artefact of a step that this one needs. Raises NotFound when the claim came without it."""
        given = self.claim.inputs.get(step)
        if given is None or given.artefact is None:
            raise NotFound(f"step {self.name} was claimed without the artefact of {step}")
        return given.artefact

    def result(self, step: str, kind: type[Result]) -> Result:
        """Result of a step that this one needs. Raises NotFound when the claim came without it."""
        given = self.claim.inputs.get(step)
        if given is None or not isinstance(given.result, kind):
            raise NotFound(f"step {self.name} was claimed without the result of {step}")
        return given.result

    def rows(self, steps: Sequence[str], kind: type[Row]) -> Iterator[Row]:
        """Rows of several steps, one step after the other in the order given, but for questions in quarantine."""
        out = set(self.claim.quarantined)
        for step in steps:
            for row in self.use.store.rows(self.artefact(step), kind):
                if not out or _question_of(row) not in out:
                    yield row

    def in_turn(self, questions: Iterable[str], do: Callable[[str], Value]) -> dict[str, Value]:
        """What `do` returns for each question id, one after another: each is named before it is begun, suspects last.

        Raises StaleEpoch once the lease is lost.
        """
        suspects = set(self.claim.suspects)
        # A stable sort: False before True, and otherwise as they came.
        order = sorted(dict.fromkeys(questions), key=lambda one: one in suspects)
        found = {}
        for done, question in enumerate(order):
            self.progress(done, len(order), question)
            found[question] = do(question)
        # Nothing is in hand while the artefact is written.
        self.progress(len(order), len(order))
        return found

    def write_once(
        self, kind: type[Row], make: Callable[[], Iterable[Row]], metadata: dict[str, Any]
    ) -> tuple[ArtefactRef, list[Row]]:
        """The step's row artefact and what stands in it.

        An attempt that died between artefact and commit is not repeated: its rows are adopted. Results are counted over
        the rows returned here, so they describe the artefact whoever wrote it.
        """
        store, output_id = self.use.store, self.claim.output_id
        # `make` is called only where there is nothing to adopt.
        ref = store.adopt(output_id) or store.write_rows(output_id, make(), metadata)
        return ref, list(store.rows(ref, kind))


def _question_of(row: BaseModel) -> str | None:
    """Id of the question that a row samples or scores; None for a row that is made of such rows."""
    if isinstance(row, RolloutRow):
        return row.question.id
    return row.question_id if isinstance(row, ScoreRow) else None
