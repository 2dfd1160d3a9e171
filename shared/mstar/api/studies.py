"""Bodies of the coordinator's public API on studies."""

from typing import Annotated, Any

from pydantic import Field, field_validator

from mstar.documents import check_plain
from mstar.evolution import RunState
from mstar.study.plan import MAX_ARMS, MAX_SEEDS, ArmName, Study
from mstar.study.states import StudyState
from mstar.types import FIRST_BAD_ENDS, Frozen


class RunChoice(Frozen):
    """One run of a study, by what tells it from the others."""

    arm: ArmName
    seed: int = Field(ge=0, le=2**31 - 1)


class StudyCreate(Frozen):
    """`POST /v1/studies`. An `Idempotency-Key` header makes a retry harmless."""

    study: dict[str, Any]
    """The study as in its file; its base is a recipe, or the name of one that the coordinator ships."""
    runs: Annotated[tuple[RunChoice, ...], FIRST_BAD_ENDS] = Field(default=(), max_length=MAX_ARMS * MAX_SEEDS)
    """Only these of its runs; empty for all."""

    @field_validator("study", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        """Refuses what could be neither stored nor shown. Raises InvalidRecipe naming the place."""
        check_plain(value, "study")
        return value


class StudyRunView(Frozen):
    """One run of a study."""

    arm: str
    seed: int
    run: str | None = None
    """Its id; None until its turn comes."""
    state: RunState | None = None
    """None until its turn comes."""
    error: str | None = None


class StudyView(Frozen):
    """A study as it is now. Its runs are done one at a time, in their order."""

    id: str
    name: str
    state: StudyState
    error: str | None = None
    created_at: float
    """Seconds since the epoch, UTC."""
    updated_at: float
    study: Study
    """With the recipe of its base in full."""
    runs: tuple[StudyRunView, ...]
    problem: str | None = None
    """What holds it up now."""
