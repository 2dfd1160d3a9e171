"""Internal protocol between the coordinator and the workers: claim, arrivals, heartbeat, commit, release.

A Celery message carries a step id and nothing else; what is to be done comes from the claim. An epoch grows with each
claim of a step, and a commit with an old one is refused (a fencing token).
"""

from pydantic import Field

from mstar.gpu_memory import GpuMemory
from mstar.reach import Reach
from mstar.recipes import Recipe
from mstar.stages import AnyResult, StepSpec
from mstar.steps import ArtefactRef
from mstar.types import Frozen


class ClaimRequest(Frozen):
    """`POST …/claim`: who wants to do a step."""

    worker: str = Field(min_length=1, max_length=200)


class StepInput(Frozen):
    """What a committed step left: an artefact, a result, or both."""

    artefact: ArtefactRef | None
    result: AnyResult


class Claim(Frozen):
    """The right to do a step until the lease runs out, renewed by heartbeats."""

    step_id: str
    run_id: str
    epoch: int
    lease_seconds: float
    step: StepSpec
    recipe: Recipe
    inputs: dict[str, StepInput]
    """By step name: everything in `step.needs`, what `step.streams` have left so far, and the prepared data and base
    model as `prepare`."""

    careful: bool = False
    """Earlier attempts failed: questions are done one at a time, each named in a heartbeat before it is begun."""
    suspects: tuple[str, ...] = ()
    """Ids of questions at which such attempts ended: they come last."""
    quarantined: tuple[str, ...] = ()
    """Ids of questions that the run is done without."""
    reach: Reach | None = None
    """Where paths inside of the run's data set may lead; without, into its own folder only."""

    @property
    def output_id(self) -> str:
        """Where the step's artefact goes: derived from the step, so redoing it is harmless."""
        return f"{self.run_id}/{self.step.name}"


class Arrivals(Frozen):
    """What a leased step that takes streams has by now, or what has come since it asked last."""

    inputs: dict[str, StepInput]
    """By step name, as in the claim."""
    seen: int = 0
    """Number of the run's newest event: what comes later is told to whoever asks with it."""
    coming: bool
    """False while the run is paused or failed: what is missing does not come before it goes on."""


class Heartbeat(Frozen):
    """`POST …/heartbeat`: keeps a lease and reports progress."""

    epoch: int
    done: int = 0
    """Units of the step's own work finished so far, for progress display."""
    total: int = 0
    question: str | None = Field(default=None, max_length=200)
    """Id of the question in hand, where they are done one at a time."""
    gpu_memory: GpuMemory | None = None
    """Of the GPUs that the step is done on."""


class HeartbeatReply(Frozen):
    """How long the lease lasts without another heartbeat."""

    lease_seconds: float


class Commit(Frozen):
    """`POST …/commit`: what a step left, handed in once."""

    epoch: int
    artefact: ArtefactRef | None = None
    result: AnyResult


class Release(Frozen):
    """The worker gives the step back. `retryable` false fails the run; `preempted` does not count as an attempt."""

    epoch: int
    error: str = Field(max_length=4000)
    code: str = "internal"
    retryable: bool = True
    preempted: bool = False


class Ack(Frozen):
    """Accepted."""

    ok: bool = True
