"""The temperature controller's section (paper, section 4)."""

from enum import StrEnum
from typing import Self

from pydantic import Field, field_validator, model_validator

from mstar.misfit import Misfit
from mstar.recipes.inputs import MAX_QUESTIONS
from mstar.selection_rules import MAX_SAMPLES
from mstar.types import Frozen

PAPER_GRID = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6)
"""Temperatures compared by the controller (paper, section 4)."""
MAX_GRID = 64


def rising(temperatures: tuple[float, ...]) -> tuple[float, ...]:
    """The temperatures as they are. Raises ValueError unless they rise within (0, 2]."""
    # 0 is greedy decoding, of which n samples are all the same.
    if list(temperatures) != sorted(set(temperatures)) or not all(0 < one <= 2 for one in temperatures):
        raise ValueError("temperatures must rise, without repeats, within (0, 2]")
    return temperatures


class ExplorationMode(StrEnum):
    """What the temperature controller maximises (paper, section 4); `fixed` is no controller."""

    FIXED = "fixed"
    REWARD_PASS = "reward_pass"  # noqa: S105 - a metric
    PASS = "pass"  # noqa: S105 - a metric


class Estimator(StrEnum):
    """How a sweep's measurements become a choice. The paper takes the arg-max; the fit is ours."""

    ARGMAX = "argmax"
    FIT = "fit"


class ExplorationRecipe(Frozen):
    """The temperature sweep on validation questions."""

    mode: ExplorationMode = ExplorationMode.REWARD_PASS
    """What the controller maximises: `reward_pass`, `pass`, or `fixed` for no controller."""
    every: int = Field(default=2, ge=1, le=1000)
    """Number of iterations from one sweep to the next."""
    start: int = Field(default=3, ge=1, le=1001)
    """First iteration with a sweep before it: 3 means that two iterations run at the initial temperature."""
    grid: tuple[float, ...] = Field(default=PAPER_GRID, min_length=1, max_length=MAX_GRID)
    """Temperatures to compare, in rising order, within (0, 2]."""
    questions: int = Field(default=250, ge=1, le=MAX_QUESTIONS)
    """Validation questions of a sweep."""
    n: int = Field(default=16, ge=1, le=MAX_SAMPLES)
    """Responses per question and temperature."""
    k: int = Field(default=2, ge=1, le=MAX_SAMPLES)
    """K of Reward-Pass@K or Pass@K."""
    estimator: Estimator = Estimator.ARGMAX
    """`argmax` takes the highest point that was measured (the paper); `fit` draws a smooth curve through the points and
    changes the temperature only with `confidence`."""
    confidence: float = Field(default=0.8, ge=0.5, lt=1)
    """With `fit`: another temperature replaces the current one if it is better with at least this probability."""
    common_numbers: bool = False
    """Use the same random numbers at all temperatures of a question. Ours: this makes two temperatures easier to tell
    apart, and the points of a smooth curve less independent."""

    @field_validator("grid")
    @classmethod
    def _rising(cls, grid: tuple[float, ...]) -> tuple[float, ...]:
        return rising(grid)

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.mode is not ExplorationMode.FIXED and self.k > self.n:
            raise Misfit("k", f"{self.k} needs as many samples, but exploration.n is {self.n}: raise it or lower k")
        return self
