"""The evaluation's section: what is measured after the warm-up and after each iteration."""

import re
from typing import Self

from pydantic import Field, field_validator, model_validator

from mstar.misfit import Misfit
from mstar.recipes.exploration import MAX_GRID, rising
from mstar.recipes.inputs import MAX_QUESTIONS
from mstar.recipes.splits import RESERVED_SPLITS
from mstar.selection_rules import MAX_SAMPLES
from mstar.types import Frozen


class EvaluationRecipe(Frozen):
    """What is measured after warm-up and after each iteration: greedy on both tests, samples on validation."""

    n: int = Field(default=8, ge=1, le=MAX_SAMPLES)
    """Responses per validation question."""
    k: int = Field(default=8, ge=1, le=MAX_SAMPLES)
    """K of Pass@K over the n validation samples."""
    temperature: float = Field(default=1.0, gt=0, le=2)
    """Sampling temperature."""
    temperatures: tuple[float, ...] = Field(default=(), max_length=MAX_GRID)
    """Further temperatures, in rising order, at which n responses are sampled for Pass@K alone. They show how training
    saturates in runs without a sweep."""
    between: int | None = Field(default=None, ge=1, le=MAX_QUESTIONS)
    """Questions of each test that are answered after every iteration but the last of `evolution.iterations`; unset:
    all. Base model, warm-up and last iteration always answer all of them."""
    sets: dict[str, int] = Field(default={}, max_length=32)
    """Further tests: names of splits of the data set, each with the number of questions to answer greedily."""
    benchmarks: str | None = Field(default=None, min_length=1, max_length=1024)
    """Folder with the published files of benchmarks. Sets that are named like one (`mathvista`, `m3cot`, `mmstar-r`,
    `mmbench-r`, `ai2d`, `mmstar`, `mmbench`) are then read from there, with its official prompt and rule."""

    @field_validator("sets")
    @classmethod
    def _named(cls, sets: dict[str, int]) -> dict[str, int]:
        for name, questions in sets.items():
            # The name becomes a folder and a part of step names, so it holds no slash and no dot.
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name) or name in RESERVED_SPLITS:
                raise ValueError(
                    f"{name[:40]!r} cannot name a set: use small letters, digits, - and _, and none of "
                    f"{', '.join(sorted(RESERVED_SPLITS))}"
                )
            if not 0 < questions <= MAX_QUESTIONS:
                raise ValueError(f"{name} must have between 1 and {MAX_QUESTIONS} questions")
        return sets

    @field_validator("temperatures")
    @classmethod
    def _rising(cls, temperatures: tuple[float, ...]) -> tuple[float, ...]:
        return rising(temperatures)

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.k > self.n:
            raise Misfit("k", f"{self.k} needs as many samples, but evaluation.n is {self.n}: raise it or lower k")
        return self
