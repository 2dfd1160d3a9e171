"""Body of `GET /v1/runs/{id}/live`: what a run does at this moment, how fast, and what waits for what."""

from mstar.gpu_memory import GpuMemory
from mstar.steps import Queue
from mstar.types import Frozen


class StepNow(Frozen):
    """A step that a worker holds."""

    name: str
    queue: Queue
    """Which of the services' workers does it: rollout (policy), score (PRM), train (trainer) or control."""
    worker: str | None
    done: int
    """Units of the step's own work, as its worker last reported them; likewise `total`, 0 where it reports none."""
    total: int
    seconds: float
    """Since it was claimed."""
    gpu_memory: GpuMemory | None = None
    """Of the GPUs of the service that does it, as its worker last reported it; None without a GPU."""


class StageProgress(Frozen):
    """All steps of one kind in one phase: a place on the map of the run."""

    name: str
    """Such as `it02/generate`."""
    done: int
    running: int
    due: int
    """Could be claimed, and no worker has yet."""
    failed: int
    total: int
    waits_for: tuple[str, ...] = ()
    """Stages of which something must be committed before all of this one can go on."""


class Rates(Frozen):
    """Units a second over the latest committed steps of each kind, all workers together; None before the first."""

    responses: float | None = None
    """Sampled responses."""
    tokens: float | None = None
    """Tokens of sampled responses."""
    scores: float | None = None
    """Scored responses."""
    trained_tokens: float | None = None


class LiveRun(Frozen):
    """A run at this moment."""

    run: str
    now: tuple[StepNow, ...]
    rates: Rates
    stages: tuple[StageProgress, ...]
    """In the order of the graph."""


def spoken_memory(memory: GpuMemory) -> str:
    """For people, in GiB."""
    return f"{memory.used / 2**30:.1f} of {memory.total / 2**30:.1f} GiB"


def spoken_rates(rates: Rates) -> tuple[tuple[str, str], ...]:
    """Number and unit of each rate that is known, for people."""
    named = (
        (rates.responses, "responses/s"),
        (rates.tokens, "sampled tokens/s"),
        (rates.scores, "scored responses/s"),
        (rates.trained_tokens, "trained tokens/s"),
    )
    return tuple((f"{value:,.1f}" if value < 100 else f"{value:,.0f}", unit) for value, unit in named if value)
