"""Bodies of the coordinator's public API: runs, recipes, iterations, events and checkpoints."""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from mstar.api.keys import DEFAULT_PROJECT
from mstar.documents import check_plain
from mstar.evolution import RunState
from mstar.recipes import Recipe
from mstar.stages import AnyResult
from mstar.types import FIRST_BAD_ENDS, Frozen, as_tuple

Tag = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")]
"""What people call runs, such as `baseline`. A run with the tag `archived` is left out of the list."""


class RunChange(Frozen):
    """`PATCH /v1/runs/{id}`."""

    tags: Annotated[tuple[Tag, ...], FIRST_BAD_ENDS, BeforeValidator(as_tuple)] = Field(max_length=20)
    """All tags that the run has from now on."""


class DeletedRun(Frozen):
    """`DELETE /v1/runs/{id}`: it and all that it made is gone."""

    id: str
    deleted: bool = True


class RunCreate(Frozen):
    """`POST /v1/runs`. An `Idempotency-Key` header makes a retry harmless."""

    recipe: str | dict[str, Any]
    """Name of a recipe that the coordinator ships, or the recipe itself, which may extend one that ships: `extends`."""
    overrides: dict[str, Any] = {}
    """Laid over the recipe: dotted keys such as `{"evolution.iterations": 2}`, or sections, which are merged."""

    @field_validator("recipe", "overrides", mode="before")
    @classmethod
    def _plain(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses what could be neither stored nor shown. Raises InvalidRecipe naming the place."""
        check_plain(value, str(info.field_name))
        return value


class NamedRecipe(Frozen):
    """A recipe and the name by which it is started, such as `minivista` or `arms/rest-em`."""

    name: str
    recipe: Recipe


class Progress(Frozen):
    """How far a run is."""

    steps_done: int
    steps_total: int
    stage: str
    """Group of the step in progress, such as `it02/generate`."""
    done: int = 0
    total: int = 0
    """Steps of that stage."""
    running: tuple[str, ...] = ()
    """Names of the steps leased now."""


class Run(Frozen):
    """One run with its state and progress."""

    id: str
    name: str
    state: RunState
    error: str | None = None
    created_at: float
    """Seconds since the epoch, UTC."""
    updated_at: float
    iterations: int
    """Iterations planned; more can be asked for."""
    recipe: Recipe
    progress: Progress
    project: str = DEFAULT_PROJECT
    """Whose run it is: that of the key that started it."""
    problem: str | None = None
    """What holds the run up now, such as a broker that is away or a cluster that refuses a Job."""
    tags: tuple[str, ...] = ()
    """What people call it; `archived` leaves it out of the list."""
    quarantined: int = 0
    """Questions that the run is done without, since they end every worker that works on them."""


class Damage(Frozen):
    """Something that a run has committed and that is damaged, so that its step is done again."""

    step: str
    """Step that made it."""
    reason: str
    """What is wrong, with the artefact's or image's id."""


class RepairedRun(Run):
    """A run after its artefacts were looked through."""

    checked: int
    """Artefacts that were read."""
    damaged: tuple[Damage, ...] = ()


class Event(Frozen):
    """One thing that happened. `id` grows without gaps within a run and serves as SSE event id and cursor."""

    id: int
    run_id: str
    at: float
    type: str
    """Such as run.created, step.committed, step.reused, step.retried, artefact.damaged, question.quarantined and
    run.succeeded."""
    step: str | None = None
    message: str = ""
    result: AnyResult | None = None


class StepView(Frozen):
    """One step as the database has it."""

    id: str
    name: str
    state: str
    attempts: int
    worker: str | None = None
    error: str | None = None
    seconds: float | None = None


class Checkpoint(Frozen):
    """A policy or PRM checkpoint that the run has made."""

    id: str
    objective: str
    iteration: int
    sha256: str
    weight_version: str
    global_step: int


Item = TypeVar("Item")


class Page(Frozen, Generic[Item]):
    """A page of a list, with OpenAI's cursor fields: pass `last_id` as `after` to get the next."""

    # No field is described. For each `Page[…]` pydantic would look for its source in vain, through every frame of the
    # import: that took an eighth of a coordinator's start.
    model_config = ConfigDict(use_attribute_docstrings=False)

    data: tuple[Item, ...]
    has_more: bool = False
    first_id: str | None = None
    last_id: str | None = None


class IterationStart(Frozen):
    """`POST /v1/runs/{id}/iterations`."""

    count: int = Field(default=1, ge=1, le=100)
