"""Recipes: everything that defines a run, as frozen values read from YAML.

Each arm of the paper's tables 1 to 3 is a recipe in the same code path. Unknown keys are refused, so a misspelt option
can't silently fall back to a default. Reading files is the caller's job: this module takes text or mappings.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from mstar.errors import InvalidRecipe
from mstar.scoring import Savings
from mstar.types import Frozen

PAPER_GRID = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6)
"""Temperatures compared by the controller (paper, section 4)."""


class DataRecipe(Frozen):
    """Which questions a run sees."""

    source: str = "builtin:minivista"
    """`builtin:minivista`, or a folder with one sub-folder per split (metadata.jsonl and images)."""
    train: int = Field(default=6000, ge=1)
    validation: int = Field(default=250, ge=1)
    test_id: int = Field(default=750, ge=1)
    test_ood: int = Field(default=500, ge=0)


class ModelRecipe(Frozen):
    """Where the base weights lie."""

    base: str = "builtin:minivista"
    """`builtin:minivista`, or a local folder in Hugging Face layout with safetensors."""


class TrainRecipe(Frozen):
    """One optimisation: AdamW at a constant rate, as the paper's reading notes give it."""

    learning_rate: float = Field(default=1e-6, gt=0)
    batch_size: int = Field(default=128, ge=1)
    """Examples per optimizer step, over all ranks."""
    micro_tokens: int = Field(default=8192, ge=1)
    """Tokens per forward pass and rank, padding counted; a single longer example is one pass."""
    epochs: int = Field(default=1, ge=1)
    warmup_steps: int = Field(default=0, ge=0)
    """Linear rise of the rate, counted in global steps of the whole run and so not repeated each iteration."""
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    freeze_vision: bool = False
    zero_stage: int = Field(default=2, ge=0, le=3)
    ranks: int = Field(default=1, ge=1)


class GenerationRecipe(Frozen):
    """What all sampling shares."""

    max_tokens: int = Field(default=512, ge=1)
    top_p: float = Field(default=1.0, gt=0, le=1)
    shard_questions: int = Field(default=32, ge=1, le=512)
    """Questions per rollout shard: the unit that is leased, retried and streamed."""


class WarmupRecipe(Frozen):
    """The model sees the answer, writes the chain, and the right ones train it (paper, section 3)."""

    questions: int = Field(default=400, ge=1)
    n: int = Field(default=4, ge=1)
    temperature: float = Field(default=1.0, gt=0, le=2)
    keep_per_question: int = Field(default=1, ge=1)
    train: TrainRecipe = TrainRecipe()


class LabelRule(StrEnum):
    """How Monte-Carlo successes become a label: their share, or whether there was one. Ours; the paper is silent."""

    SOFT = "soft"
    HARD = "hard"


class PrmRecipe(Frozen):
    """Process reward model: Monte-Carlo step labels from the warm-up policy, then training from the same base."""

    questions: int = Field(default=400, ge=1)
    n: int = Field(default=4, ge=1)
    """Solutions sampled per question."""
    completions: int = Field(default=16, ge=1)
    """Monte-Carlo completions per prefix. Ours; the paper does not give it."""
    temperature: float = Field(default=1.0, gt=0, le=2)
    max_steps: int = Field(default=12, ge=1)
    """Longer solutions have neighbouring steps merged."""
    label: LabelRule = LabelRule.SOFT
    balance: bool = True
    """Keep as many solutions with a low minimum label as with a high one."""
    savings: bool = True
    """Leave out scores that cannot change what is kept or measured; false: score everything."""
    leave_out: Savings = Savings()
    """Which of them, while savings are on."""
    train: TrainRecipe = TrainRecipe(freeze_vision=True)


class SelectionMode(StrEnum):
    """Which correct responses train the next policy (paper, table 2)."""

    ALL = "all"
    RANDOM = "random"
    TOP = "top"
    THRESHOLD = "threshold"
    ORACLE = "oracle"


class SelectionRecipe(Frozen):
    """H of the paper: Top-2 by default."""

    mode: SelectionMode = SelectionMode.TOP
    k: int = Field(default=2, ge=1)
    """Kept per question, for `top`, `random` and `oracle`."""
    alpha: float = Field(default=0.2, ge=0, le=1)
    """Least R_p, for `threshold`. Ours; the paper does not give it."""


class InitFrom(StrEnum):
    """Which policy an iteration starts from: ReST-EM starts from the first, the others from the last."""

    FIRST = "first"
    LAST = "last"


class OptimizerState(StrEnum):
    """`carried` is what makes training continuous; Iterative RFT starts fresh."""

    CARRIED = "carried"
    FRESH = "fresh"


class EvolutionRecipe(Frozen):
    """The iterations."""

    iterations: int = Field(default=4, ge=0, le=1000)
    questions: int = Field(default=1000, ge=1)
    """Labelled questions per iteration: the share of the paper's table 1."""
    n: int = Field(default=16, ge=1)
    temperature: float = Field(default=1.0, gt=0, le=2)
    init: InitFrom = InitFrom.LAST
    optimizer: OptimizerState = OptimizerState.CARRIED
    selection: SelectionRecipe = SelectionRecipe()
    train: TrainRecipe = TrainRecipe()


class ExplorationMode(StrEnum):
    """What the temperature controller maximises (paper, section 4); `fixed` is no controller."""

    FIXED = "fixed"
    REWARD_PASS = "reward_pass"  # noqa: S105 - a metric
    PASS = "pass"  # noqa: S105 - a metric


class ExplorationRecipe(Frozen):
    """The temperature sweep on validation questions."""

    mode: ExplorationMode = ExplorationMode.REWARD_PASS
    every: int = Field(default=2, ge=1)
    """Iterations between two sweeps."""
    start: int = Field(default=3, ge=1)
    """First iteration that a sweep precedes: with 3 and every 2, two iterations run at the initial temperature."""
    grid: tuple[float, ...] = PAPER_GRID
    questions: int = Field(default=250, ge=1)
    n: int = Field(default=16, ge=1)
    k: int = Field(default=2, ge=1)

    @field_validator("grid")
    @classmethod
    def _rising(cls, grid: tuple[float, ...]) -> tuple[float, ...]:
        if not grid or list(grid) != sorted(set(grid)) or not (grid[0] > 0 and grid[-1] <= 2):
            raise ValueError("temperatures must rise, without repeats, within (0, 2]")
        return grid


class EvaluationRecipe(Frozen):
    """What is measured after warm-up and after each iteration: greedy on both tests, samples on validation."""

    n: int = Field(default=8, ge=1)
    k: int = Field(default=8, ge=1)
    """K of Pass@K over the n validation samples."""
    temperature: float = Field(default=1.0, gt=0, le=2)

    @model_validator(mode="after")
    def _enough(self) -> "EvaluationRecipe":
        if self.k > self.n:
            raise ValueError(f"k = {self.k} needs at least as many samples, but n = {self.n}: raise evaluation.n")
        return self


class Recipe(Frozen):
    """A whole run."""

    name: str = Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    data: DataRecipe = DataRecipe()
    model: ModelRecipe = ModelRecipe()
    generation: GenerationRecipe = GenerationRecipe()
    warmup: WarmupRecipe | None = WarmupRecipe()
    prm: PrmRecipe | None = PrmRecipe()
    evolution: EvolutionRecipe = EvolutionRecipe()
    exploration: ExplorationRecipe = ExplorationRecipe()
    evaluation: EvaluationRecipe = EvaluationRecipe()

    @model_validator(mode="after")
    def _parts_fit(self) -> "Recipe":
        needs_prm = self.evolution.selection.mode in (SelectionMode.TOP, SelectionMode.THRESHOLD)
        if self.prm is None and needs_prm:
            raise ValueError("evolution.selection.mode ranks by the PRM: add a prm section or choose all or random")
        if self.prm is None and self.exploration.mode is ExplorationMode.REWARD_PASS:
            raise ValueError("exploration.mode reward_pass needs a prm section: add one or set fixed or pass")
        for name, wanted in (("warmup.questions", self.warmup), ("prm.questions", self.prm)):
            if wanted is not None and wanted.questions > self.data.train:
                raise ValueError(f"{name} = {wanted.questions} exceeds data.train = {self.data.train}")
        if self.exploration.questions > self.data.validation:
            raise ValueError("exploration.questions exceeds data.validation: lower the first or raise the second")
        return self


def parse_recipe(values: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Validate a recipe with dotted overrides such as `{"evolution.iterations": 2}` laid over it.

    Raises InvalidRecipe naming the first bad field.
    """
    merged = _merge(values, overrides or {})
    try:
        return Recipe.model_validate_json(_json(merged))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "recipe"
        raise InvalidRecipe(f"{field}: {first['msg']}", field=field) from None


def parse_recipe_yaml(text: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Validate a recipe in YAML (safe loader only). Raises InvalidRecipe."""
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidRecipe(f"recipe is not valid YAML: {error}", field="recipe") from None
    if not isinstance(values, dict):
        raise InvalidRecipe("recipe must be a mapping with at least a name", field="recipe")
    return parse_recipe(values, overrides)


def _json(values: Mapping[str, Any]) -> str:
    try:
        return json.dumps(values, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidRecipe(f"recipe holds a value that JSON cannot: {error}", field="recipe") from None


def _merge(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {k: _merge(v, {}) if isinstance(v, Mapping) else v for k, v in values.items()}
    for path, value in overrides.items():
        *parents, leaf = path.split(".")
        place = merged
        for part in parents:
            child = place.get(part)
            if child is None:
                child = place[part] = {}
            if not isinstance(child, dict):
                raise InvalidRecipe(f"override {path}: {part} is not a section", field=path)
            place = child
        place[leaf] = value
    return merged
