"""Bodies of `/v1/evaluations`: a model measured on published benchmarks, by shards through the queues of runs."""

from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints

from mstar.api.keys import DEFAULT_PROJECT
from mstar.api.runs import Progress
from mstar.evolution import RunState
from mstar.stages.measure import MeasuredTable
from mstar.types import FIRST_BAD_ENDS, Frozen, as_tuple

Path = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""On the coordinator's machine, below the folder that its operator allows; a relative path starts there."""


class EvaluationCreate(Frozen):
    """`POST /v1/evaluations`. An `Idempotency-Key` header makes a retry harmless."""

    model: Path
    """A run by its id, a model that ships (`builtin:minivista`), or a folder in Hugging Face layout."""
    checkpoint: str | None = Field(default=None, max_length=40, pattern=r"^(base|warmup|it\d{2,})$")
    """Which policy of a run: `base`, `warmup` or an iteration such as `it02`; unset: the newest."""
    sets: Annotated[tuple[str, ...], FIRST_BAD_ENDS, BeforeValidator(as_tuple)] = Field(min_length=1, max_length=16)
    """Benchmarks by name, such as `mathvista`."""
    data: Path | None = None
    """Folder with the published files of several benchmarks."""
    files: dict[str, Path] = Field(default={}, max_length=16)
    """File or folder of one benchmark, by its name, where `data` does not have it."""
    samples: int = Field(default=1, ge=1, le=256)
    """Responses a question; 1 is greedy."""
    temperature: float = Field(default=1.0, ge=0, le=2)
    """Of sampling; greedy answers have none."""
    max_tokens: int = Field(default=1024, ge=1, le=32_768)
    """Most tokens of a response."""
    prm: Path | None = None
    """What ranks several samples: a folder, or `none`; unset: the run's own, where it has one."""
    prompt: str = Field(default="auto", max_length=40)
    """What is added to the official prompt: `auto` (the run's own), `official`, or a preset."""
    limit: int | None = Field(default=None, ge=1, le=10_000_000)
    """Questions of each group at most: a quick look, not a result."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Of samples and intervals."""


class Evaluation(Frozen):
    """One evaluation. Its id is a run's as well: `/v1/runs/{id}` has its steps, events, logs and files."""

    id: str
    model: str
    """Name in tables and file names."""
    weight_version: str | None = None
    """The checkpoint that is measured; None for a model of no run."""
    state: RunState
    error: str | None = None
    created_at: float
    """Seconds since the epoch, UTC."""
    updated_at: float
    project: str = DEFAULT_PROJECT
    sets: dict[str, int]
    """Benchmark → prompts that are asked."""
    samples: int
    progress: Progress
    problem: str | None = None
    """What holds it up now."""
    results: dict[str, MeasuredTable] = {}
    """Tables with Wilson intervals of 95 %, once all benchmarks are judged."""
