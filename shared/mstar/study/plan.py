"""A study file as values: which arms are run over which seeds, and what is compared.

All of it is written down before the first run, so the comparisons cannot be chosen by their results. A study names no
recipe fields of its own: an arm is the base recipe with its changes, and `parse_recipe` decides whether that is one.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from mstar.documents import check_plain, parse_yaml
from mstar.errors import InvalidInput, InvalidRecipe
from mstar.first_problem import first_problem
from mstar.misfit import Misfit
from mstar.recipe_inheritance import overlaid
from mstar.recipes import Recipe, parse_recipe
from mstar.types import Frozen

WARMUP = "warmup"
"""Stands for the policy after warm-up of the same run where an arm is compared with it."""
ArmName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
MAX_ARMS = 64
MAX_SEEDS = 64


class Contrast(Frozen):
    """A difference that the study was made to tell: final greedy accuracy of `a` minus that of `b` on test-ID."""

    a: ArmName
    b: ArmName
    """Another arm, or `warmup` for the warm-up that `a` began with."""


class NonInferiority(Contrast):
    """Whether `a` is not worse than `b` by more than a margin."""

    margin: float = Field(gt=0, le=100)
    """In points of accuracy."""


class Measure(StrEnum):
    """What a property is measured by; all in percent or points, as means over the seeds."""

    WARMUP_GREEDY = "warmup_greedy"
    """Greedy accuracy on test-ID after warm-up."""
    WARMUP_PASS_AT_K = "warmup_pass_at_k"  # noqa: S105 - a metric
    """Pass@K on validation after warm-up."""
    WARMUP_UNSOUND = "warmup_unsound"
    """Share of unsound chains among the correct responses after warm-up."""
    FIRST_ITERATION_SHARE = "first_iteration_share"
    """Part of an arm's gain over warm-up that the first iteration makes."""
    PASS_AT_K_CHANGE = "pass_at_k_change"  # noqa: S105 - a metric
    """Pass@K on validation after the last iteration minus after warm-up."""
    DIFFERENCE = "difference"
    """Final greedy accuracy on test-ID of `arm` minus `other`."""
    SPREAD = "spread"
    """Final greedy accuracy on test-ID of the best of `arms` minus that of the worst."""


class Property(Frozen):
    """Something that must hold of benchmark or arms for the comparisons to mean something."""

    name: str = Field(min_length=1, max_length=120)
    measure: Measure
    arm: ArmName | None = None
    """Arm that it is measured on; unset, all arms together."""
    other: ArmName | None = None
    """The arm to subtract, for `difference`."""
    arms: tuple[ArmName, ...] = Field(default=(), max_length=MAX_ARMS)
    """The arms that are compared, for `spread`."""
    low: float | None = None
    high: float | None = None
    """Bounds within which it holds; one may be left out."""

    @property
    def wanted(self) -> str:
        """The bounds in words."""
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        return f"at least {self.low:g}" if self.low is not None else f"at most {self.high:g}"

    def met(self, value: float) -> bool:
        """Whether a value lies within the bounds."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.low is None and self.high is None:
            raise Misfit("low", "nothing is wanted: give low, high or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise Misfit("high", f"{self.high:g} is below low, which is {self.low:g}: exchange them")
        if self.measure is Measure.DIFFERENCE and (self.arm is None or self.other is None):
            raise Misfit("other", "a difference is between two arms: give arm and other")
        if self.measure is Measure.SPREAD and len(self.arms) < 2:
            raise Misfit("arms", "a spread is over several arms: name two or more")
        return self


class Study(Frozen):
    """A study as its file says it."""

    name: ArmName
    """Shown in lists, and the begin of the names of result files."""
    base: str | dict[str, Any]
    """The recipe that all arms share: the name of one that ships, a `.yaml` file beside this one, or the recipe."""
    changes: dict[str, Any] = {}
    """Laid over the base for every arm."""
    arms: dict[ArmName, dict[str, Any]] = Field(min_length=1, max_length=MAX_ARMS)
    """By name, what each changes: sections as in a recipe, which are merged key by key."""
    seeds: tuple[int, ...] = Field(min_length=1, max_length=MAX_SEEDS)
    """Every arm is run with each of them."""
    contrasts: tuple[Contrast, ...] = Field(default=(), max_length=64)
    """Differences that are tested, with Holm's correction for their number."""
    non_inferiority: tuple[NonInferiority, ...] = Field(default=(), max_length=64)
    """Differences of which only is asked whether they are not worse than a margin."""
    properties: tuple[Property, ...] = Field(default=(), max_length=64)
    """What must hold for the comparisons to mean something."""

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds) or any(not 0 <= seed < 2**31 for seed in seeds):
            raise ValueError("seeds are different numbers from 0 to 2147483647")
        return seeds

    @model_validator(mode="after")
    def _arms_are_known(self) -> Self:
        if WARMUP in self.arms:
            raise Misfit(f"arms.{WARMUP}", "stands for the policy after warm-up: choose another name")
        for field in ("contrasts", "non_inferiority"):
            for place, one in enumerate(getattr(self, field)):
                self._check_arm(f"{field}.{place}.a", one.a, set(self.arms))
                # An arm minus itself is zero, and would still take a place in Holm's correction.
                self._check_arm(f"{field}.{place}.b", one.b, {WARMUP, *self.arms} - {one.a})
        for place, one in enumerate(self.properties):
            for key, arm in (("arm", one.arm), ("other", one.other), *(("arms", each) for each in one.arms)):
                if arm is not None:
                    self._check_arm(f"properties.{place}.{key}", arm, set(self.arms))
        return self

    def _check_arm(self, field: str, arm: str, known: set[str]) -> None:
        if arm not in known:
            raise Misfit(field, f"{arm!r} is not one of {', '.join(sorted(known))}")

    def runs(self) -> list[tuple[str, int]]:
        """(arm, seed) of every run, in the order in which they are worth doing.

        All arms of one seed come before the next seed, so a study that is cut short stays balanced.
        """
        return [(arm, seed) for seed in self.seeds for arm in self.arms]

    def part(self, arms: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[tuple[str, int]]:
        """The runs of some arms and seeds; of all where none is named. Raises InvalidInput for what the study lacks."""
        for arm in arms:
            if arm not in self.arms:
                raise InvalidInput(f"arm {arm[:40]!r} is not one of {', '.join(self.arms)}", field="arms")
        for seed in seeds:
            if seed not in self.seeds:
                raise InvalidInput(f"seed {seed} is not one of {', '.join(map(str, self.seeds))}", field="seeds")
        return [(arm, seed) for arm, seed in self.runs() if (not arms or arm in arms) and (not seeds or seed in seeds)]

    def chosen(self, picked: Collection[tuple[str, int]]) -> list[tuple[str, int]]:
        """Some of the runs, in the study's order; all where none is picked. Raises InvalidInput for one it lacks."""
        for arm, seed in picked:
            self.part([arm], [seed])
        return [one for one in self.runs() if not picked or one in picked]

    def recipe(self, base: Mapping[str, Any], arm: str, seed: int) -> Recipe:
        """The recipe of one run: the base, the study's changes, those of the arm, and the seed.

        `base`: its values with those of its parents. Raises InvalidRecipe, with a field below `arms`.
        """
        # Merged before parsing, so that a field that an arm misspells is an error of that arm.
        values = overlaid(overlaid(base, self.changes), self.arms[arm])
        try:
            # Both are the study's, whatever base and arm say: results are found by them.
            return parse_recipe(values | {"name": arm, "seed": seed})
        except InvalidRecipe as error:
            raise InvalidRecipe(f"arms.{arm}: {error.detail}", field=f"arms.{arm}.{error.field}") from None


def parse_study(values: Mapping[str, Any]) -> Study:
    """A study from its values. Raises InvalidInput naming the first bad field."""
    try:
        check_plain(values, "study")
        # From JSON, where strict validation takes lists for tuples and refuses `true` and text for numbers.
        return Study.model_validate_json(json.dumps(values), strict=True)
    except InvalidRecipe as error:
        raise InvalidInput(error.detail, field=error.field) from None
    except ValidationError as error:
        place, said = first_problem(error, Study)
        if place.split(".")[0] == "base":
            # pydantic would name the branch of the union as well.
            raise InvalidInput(
                "base: name a recipe or a .yaml file, or give the recipe's sections", field="base"
            ) from None
        field = place or "study"
        raise InvalidInput(f"{field}: {said}", field=field) from None


def parse_study_yaml(text: str) -> Study:
    """A study from its file. Raises InvalidInput."""
    try:
        values = parse_yaml(text)
    except ValueError as error:
        raise InvalidInput(f"study is not valid YAML: {error}", field="study") from None
    if not isinstance(values, dict):
        raise InvalidInput("study must be a mapping with name, base, arms and seeds", field="study")
    return parse_study(values)
