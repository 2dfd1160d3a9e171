"""Runs, steps and studies as the database has them, as plain values: what the store returns and the others read."""

from dataclasses import dataclass
from enum import StrEnum

from mstar.api.keys import DEFAULT_PROJECT
from mstar.evolution import RunState
from mstar.gpu_memory import GpuMemory
from mstar.recipes import Recipe
from mstar.stages import StepSpec
from mstar.step_names import stage_of
from mstar.steps import ArtefactRef, StepResult
from mstar.study.plan import Study
from mstar.study.states import StudyState


class StepState(StrEnum):
    """States of a step. `failed` ends when its run is resumed."""

    PENDING = "pending"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class RunRecord:
    """One run. Times are seconds since the epoch."""

    id: str
    name: str
    state: RunState
    error: str | None
    created_at: float
    updated_at: float
    iterations: int
    recipe: Recipe
    revision: int = 1
    """Grows with every change that the run's files show."""
    project: str = DEFAULT_PROJECT


@dataclass(frozen=True)
class StepRecord:
    """One step. Times are seconds since the epoch."""

    id: str
    run_id: str
    position: int
    spec: StepSpec
    state: StepState
    waiting: int
    """Needs that are not done yet."""
    epoch: int
    """Grows with each claim: the fencing token of the worker that holds the step."""
    attempts: int
    worker: str | None
    error: str | None
    claimed_at: float | None
    renewals: int
    """Grows with each heartbeat of the worker that holds the step."""
    done_at: float | None
    units_done: int
    units_total: int
    """Units of the step's own work, as its worker last reported them."""
    artefact: ArtefactRef | None
    result: StepResult | None
    gpu_memory: GpuMemory | None = None
    """Of the GPUs that it is done on, as its worker last reported it."""
    in_hand: str | None = None
    """The question that its worker does now, where it does them one at a time."""
    published_at: float | None = None
    """When a task message for it was sent last, since it was given back."""
    key: str | None = None
    """Hash of everything that determines what it leaves; set for runs of a study."""
    removed: bool = False
    """Its artefact was removed on purpose, to make room."""

    @property
    def name(self) -> str:
        """Path inside the run, such as `it02/select/0007`."""
        return self.spec.name

    @property
    def stage(self) -> str:
        """Group of steps that this one belongs to."""
        return stage_of(self.name)

    @property
    def seconds(self) -> float | None:
        """From the last claim to the commit; None until then."""
        if self.claimed_at is None or self.done_at is None:
            return None
        # The database's clock may have been put back between the two.
        return max(0.0, self.done_at - self.claimed_at)

    @property
    def lease(self) -> "Lease":
        """The lease as it stands now, for a step that is leased."""
        return Lease(self.id, self.epoch, self.renewals)


@dataclass(frozen=True)
class Lease:
    """A step that a worker holds. Epoch and renewals change with every sign of life of a worker."""

    step_id: str
    epoch: int
    renewals: int


@dataclass(frozen=True)
class OpenStep:
    """A step that is not done, as a run's progress shows it."""

    name: str
    stage: str
    units_done: int
    units_total: int


@dataclass(frozen=True)
class DueStep:
    """A step that a worker could claim now, and when a task message for it was sent last."""

    id: str
    published_at: float | None
    run_id: str
    name: str
    kind: str
    epoch: int
    """How often it was claimed before."""


@dataclass(frozen=True)
class StudyRecord:
    """One study. Times are seconds since the epoch."""

    id: str
    name: str
    state: StudyState
    error: str | None
    created_at: float
    updated_at: float
    plan: Study
    project: str = DEFAULT_PROJECT


@dataclass(frozen=True)
class StudyEntry:
    """One run of a study, begun or not."""

    position: int
    arm: str
    recipe: Recipe
    run_id: str | None = None
    """None until its turn comes."""
    state: RunState | None = None
    error: str | None = None


@dataclass(frozen=True)
class IdempotencyKey:
    """A client's key and the hash of the body that came with it."""

    key: str
    body_sha256: str
