"""Recipes: everything that defines a run, as frozen values read from YAML.

Each arm of the paper's tables 1 to 3 is a recipe in the same code path. Unknown keys are refused, so a misspelt option
can't silently fall back to a default. Reading files is the caller's job: this module takes text or mappings.
"""

import json
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from mstar.answers.rule import AnswerRule
from mstar.documents import MAX_DEPTH, check_plain, parse_yaml
from mstar.errors import InvalidRecipe
from mstar.misfit import Misfit
from mstar.needed_scores import NO_SAVINGS, Savings
from mstar.prompts import PromptForm, PromptRecipe, prompt_form
from mstar.recipe_inheritance import EXTENDS
from mstar.reward import Aggregate, RewardRule
from mstar.selection_rules import MAX_SAMPLES, SelectionRecipe
from mstar.train_recipe import MAX_UPDATES, TrainRecipe, share_of
from mstar.types import Frozen

PAPER_GRID = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6)
"""Temperatures compared by the controller (paper, section 4)."""
MAX_PROMPTS = 8192
"""Prompts of one rollout request that the policy service takes."""
MAX_QUESTIONS = 10_000_000
MAX_GRID = 64
MAX_PIXELS = 100_000_000
STEPS = "steps"
"""Split of solutions whose steps the data set labels."""
RESERVED_SPLITS = frozenset({"train", "validation", "test_id", "test_ood", "unlabelled", "steps", "images"})
"""Splits with a meaning of their own, which no further test may have for its name."""


def split_field(split: str) -> str:
    """The recipe's field that says how many questions of a split are used."""
    if split == STEPS:
        return "prm.given"
    return f"data.{split}" if split in DataRecipe.model_fields else f"evaluation.sets.{split}"


class DataRecipe(Frozen):
    """Which questions a run sees."""

    source: str = Field(default="builtin:minivista", min_length=1, max_length=1024)
    """`builtin:minivista`, or a folder with one sub-folder per split (metadata.jsonl and images)."""
    train: int = Field(default=6000, ge=1, le=MAX_QUESTIONS)
    """Questions of the training split that the run may use."""
    validation: int = Field(default=250, ge=1, le=MAX_QUESTIONS)
    """Questions on which temperatures are compared and Pass@K is measured."""
    test_id: int = Field(default=750, ge=1, le=MAX_QUESTIONS)
    """Test questions like those of training."""
    test_ood: int = Field(default=500, ge=0, le=MAX_QUESTIONS)
    """Test questions unlike those of training; 0 for none."""
    unlabelled: int = Field(default=0, ge=0, le=MAX_QUESTIONS)
    """Questions of the split `unlabelled` that the run may use; their answers, where they have any, stay hidden."""


class ModelRecipe(Frozen):
    """Where the base weights lie."""

    base: str = Field(default="builtin:minivista", min_length=1, max_length=1024)
    """`builtin:minivista`, or a local folder in Hugging Face layout with safetensors."""
    min_pixels: int | None = Field(default=None, ge=1, le=MAX_PIXELS)
    """Smaller pictures are scaled up to so many pixels; unset, the model's own bound. For models such as Qwen2.5-VL."""
    max_pixels: int | None = Field(default=None, ge=1, le=MAX_PIXELS)
    """Larger pictures are scaled down to so many pixels, which bounds the tokens of a picture."""

    @model_validator(mode="after")
    def _rising_bounds(self) -> Self:
        if self.min_pixels is not None and self.max_pixels is not None and self.min_pixels > self.max_pixels:
            raise Misfit("max_pixels", f"{self.max_pixels} is below min_pixels, which is {self.min_pixels}: raise it")
        return self


class GenerationRecipe(Frozen):
    """What all sampling shares."""

    max_tokens: int = Field(default=512, ge=1, le=32_768)
    """Most tokens of a response; one that is cut off is never kept."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling; 1 samples from all tokens."""
    least_solved: float = Field(default=0.01, ge=0, le=1)
    """The run stops, with counts, where a smaller share of a stage's training questions gets a response to keep.
    Judged from 256 questions on, or when the stage is whole; 0 for never."""
    shard_questions: int = Field(default=32, ge=1, le=512)
    """Questions per rollout shard: the unit that is leased, retried and streamed."""


class WarmupRecipe(Frozen):
    """The model sees the answer, writes the chain, and the right ones train it (paper, section 3)."""

    questions: int = Field(default=400, ge=1, le=MAX_QUESTIONS)
    """Training questions whose reasoning the base model writes."""
    n: int = Field(default=4, ge=1, le=MAX_SAMPLES)
    """Responses sampled per question."""
    temperature: float = Field(default=1.0, gt=0, le=2)
    """Sampling temperature."""
    keep_per_question: int = Field(default=1, ge=1, le=MAX_SAMPLES)
    """Correct responses that train, drawn at random."""
    train: TrainRecipe = TrainRecipe()

    @model_validator(mode="after")
    def _schedule_ends(self) -> Self:
        self.train.check_schedule(self.train.updates, "train.updates")
        return self


class LabelRule(StrEnum):
    """How Monte-Carlo successes become a label: their share, or whether there was one. Ours; the paper is silent."""

    SOFT = "soft"
    HARD = "hard"


class PrmRecipe(Frozen):
    """Process reward model (PRM): Monte-Carlo step labels from the warm-up policy, then training from the same base.

    Or one that others published, which is served as it is: `train: false` and its folder as `base`.
    """

    base: str | None = Field(default=None, min_length=1, max_length=1024)
    """Local folder of the model that the PRM is trained from, or of the PRM itself with `train: false`; unset, it is
    trained from `model.base`."""
    given: int = Field(default=0, ge=0, le=MAX_QUESTIONS)
    """Solutions of the data set's split `steps` that train it, with the labels that they come with; 0 labels our own.
    What says how labels are made then does nothing."""
    questions: int = Field(default=400, ge=1, le=MAX_QUESTIONS)
    """Training questions whose solutions are labelled step by step."""
    own_questions: bool = True
    """Take the questions behind those of the warm-up in the seeded order, so that none trains both; `false` takes them
    from the beginning, as the warm-up does, where the data has too few for two parts. Ours; the paper does not say."""
    n: int = Field(default=4, ge=1, le=MAX_SAMPLES)
    """Solutions sampled per question."""
    completions: int = Field(default=16, ge=1, le=MAX_SAMPLES)
    """Monte-Carlo completions per prefix. Ours; the paper does not give it."""
    temperature: float = Field(default=1.0, gt=0, le=2)
    """Sampling temperature of solutions and completions."""
    max_steps: int = Field(default=32, ge=1, le=512)
    """Solutions with more steps are not labelled; every step of the others is."""
    aggregate: Aggregate = Aggregate.MIN
    """How step scores become R_p: `min` (the paper), `mean`, `product`, `last`, or `length_min`, the minimum corrected
    for the number of steps. All but `min` are ours."""
    answer_block: bool = False
    """Whether the answer's own score counts among them. In the paper R_p is over the steps; the answer is none."""
    label: LabelRule = LabelRule.SOFT
    """`soft`: the share of completions that reach the answer; `hard`: whether one did."""
    balance: bool = True
    """Keep as many solutions with a low minimum label as with a high one."""
    savings: Savings = Savings()
    """Which scores are left out because they cannot change what is kept or measured; `false` scores everything."""
    train: TrainRecipe | None = TrainRecipe(freeze_vision=True)
    """How it is trained; `false` serves `base` as it is, and what says how labels are made does nothing."""

    @property
    def reward_rule(self) -> RewardRule:
        """How R_p is made of step scores."""
        return RewardRule(aggregate=self.aggregate, answer_block=self.answer_block)

    @model_validator(mode="after")
    def _there_is_one(self) -> Self:
        if self.train is None and self.base is None:
            raise Misfit("base", "nothing is trained: name the folder of a PRM, or give prm.train its settings")
        return self

    @field_validator("savings", mode="before")
    @classmethod
    def _all_or_none(cls, savings: Any) -> Any:
        return (Savings() if savings else NO_SAVINGS) if isinstance(savings, bool) else savings

    @model_validator(mode="after")
    def _schedule_ends(self) -> Self:
        if self.train is not None:
            self.train.check_schedule(self.train.updates, "train.updates")
        return self


class InitFrom(StrEnum):
    """Which policy an iteration starts from: ReST-EM starts from the first, the others from the last."""

    FIRST = "first"
    LAST = "last"


class OptimizerState(StrEnum):
    """`carried` is what makes training continuous; Iterative RFT starts fresh."""

    CARRIED = "carried"
    FRESH = "fresh"


class UnlabelledRecipe(Frozen):
    """Questions without an answer, mixed into the iterations: the responses vote on one (paper, table 3)."""

    share: float = Field(default=0.0, ge=0, lt=1)
    """Part of an iteration's questions that have no answer."""
    begin: float = Field(default=0.0, ge=0, lt=1)
    """They come into the iterations after this part of `evolution.iterations`."""
    oracle: bool = False
    """Uses their reference answers after all, where the data set has them: the most that pseudo-answers could give."""


class EvolutionRecipe(Frozen):
    """The iterations."""

    iterations: int = Field(default=4, ge=0, le=1000)
    """How many there are; more can be added later."""
    questions: int = Field(default=1000, ge=1, le=MAX_QUESTIONS)
    """Questions per iteration, unlabelled ones included: the share of the paper's table 1."""
    n: int = Field(default=16, ge=1, le=MAX_SAMPLES)
    """Responses sampled per question."""
    temperature: float = Field(default=1.0, gt=0, le=2)
    """Sampling temperature until a sweep sets another."""
    init: InitFrom = InitFrom.LAST
    """Policy that an iteration trains on from: the `last`, or the `first` as in ReST-EM."""
    optimizer: OptimizerState = OptimizerState.CARRIED
    """`carried` continues optimizer and schedule of the last iteration, `fresh` starts new ones."""
    inherit_warmup: bool = True
    """Where the optimizer is carried over: the first iteration takes over that of the warm-up, but not its schedule.
    Ours; the paper does not say."""
    updates: int | None = Field(default=None, ge=1, le=MAX_UPDATES)
    """Optimizer steps of all iterations together, shared out evenly; instead of `train.updates`. One that is added
    later trains as long as the last."""
    selection: SelectionRecipe = SelectionRecipe()
    unlabelled: UnlabelledRecipe = UnlabelledRecipe()
    train: TrainRecipe = TrainRecipe()

    def unlabelled_in(self, iteration: int) -> int:
        """How many questions of an iteration (1-based) have no answer."""
        mixed = iteration > self.unlabelled.begin * self.iterations
        return round(self.questions * self.unlabelled.share) if mixed else 0

    @property
    def carries(self) -> bool:
        """Whether the optimizer of the parent goes on."""
        return self.optimizer is OptimizerState.CARRIED

    @property
    def continuous(self) -> bool:
        """Whether each iteration goes on where the last one stopped: weights, optimizer and schedule."""
        return self.init is InitFrom.LAST and self.carries

    def train_of(self, iteration: int) -> TrainRecipe:
        """Settings of one iteration (1-based), with its share of `updates`."""
        if self.updates is None:
            return self.train
        return self.train.model_copy(update={"updates": share_of(self.updates, self.iterations, iteration)})

    def horizon(self, iteration: int) -> int | None:
        """Updates over which the schedule of this iteration runs; None where rows and epochs decide."""
        each = self.train_of(iteration).updates
        if not self.continuous or each is None:
            return each
        return self.updates or each * self.iterations

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.updates is not None and (self.train.updates is not None or self.train.epochs != 1):
            key = "train.updates" if self.train.updates is not None else "train.epochs"
            raise Misfit(key, "evolution.updates already says how long all iterations train: leave one of the two out")
        if self.updates is not None and self.updates < self.iterations:
            raise Misfit("updates", f"{self.updates} is less than one for each of the {self.iterations} iterations")
        if self.iterations:
            self.train.check_schedule(self.horizon(self.iterations), "evolution.updates or evolution.train.updates")
        return self


class ExplorationMode(StrEnum):
    """What the temperature controller maximises (paper, section 4); `fixed` is no controller."""

    FIXED = "fixed"
    REWARD_PASS = "reward_pass"  # noqa: S105 - a metric
    PASS = "pass"  # noqa: S105 - a metric


class ExplorationRecipe(Frozen):
    """The temperature sweep on validation questions."""

    mode: ExplorationMode = ExplorationMode.REWARD_PASS
    """What the controller maximises: `reward_pass`, `pass`, or `fixed` for no controller."""
    every: int = Field(default=2, ge=1, le=1000)
    """Iterations between two sweeps."""
    start: int = Field(default=3, ge=1, le=1001)
    """First iteration that a sweep precedes: with 3 and every 2, two iterations run at the initial temperature."""
    grid: tuple[float, ...] = Field(default=PAPER_GRID, min_length=1, max_length=MAX_GRID)
    """Temperatures that are compared, rising, within (0, 2]."""
    questions: int = Field(default=250, ge=1, le=MAX_QUESTIONS)
    """Validation questions of a sweep."""
    n: int = Field(default=16, ge=1, le=MAX_SAMPLES)
    """Responses per question and temperature."""
    k: int = Field(default=2, ge=1, le=MAX_SAMPLES)
    """K of Reward-Pass@K or Pass@K."""

    @field_validator("grid")
    @classmethod
    def _rising(cls, grid: tuple[float, ...]) -> tuple[float, ...]:
        if list(grid) != sorted(set(grid)) or not (grid[0] > 0 and grid[-1] <= 2):
            raise ValueError("temperatures must rise, without repeats, within (0, 2]")
        return grid

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.mode is not ExplorationMode.FIXED and self.k > self.n:
            raise Misfit("k", f"{self.k} needs as many samples, but exploration.n is {self.n}: raise it or lower k")
        return self


class EvaluationRecipe(Frozen):
    """What is measured after warm-up and after each iteration: greedy on both tests, samples on validation."""

    n: int = Field(default=8, ge=1, le=MAX_SAMPLES)
    """Responses per validation question."""
    k: int = Field(default=8, ge=1, le=MAX_SAMPLES)
    """K of Pass@K over the n validation samples."""
    temperature: float = Field(default=1.0, gt=0, le=2)
    """Sampling temperature."""
    sets: dict[str, int] = Field(default={}, max_length=32)
    """Further tests: splits of the data set by name, with how many questions of each are answered greedily."""

    @field_validator("sets")
    @classmethod
    def _named(cls, sets: dict[str, int]) -> dict[str, int]:
        for name, questions in sets.items():
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name) or name in RESERVED_SPLITS:
                raise ValueError(
                    f"{name[:40]!r} cannot name a set: use small letters, digits, - and _, and none of "
                    f"{', '.join(sorted(RESERVED_SPLITS))}"
                )
            if not 0 < questions <= MAX_QUESTIONS:
                raise ValueError(f"{name} must have between 1 and {MAX_QUESTIONS} questions")
        return sets

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.k > self.n:
            raise Misfit("k", f"{self.k} needs as many samples, but evaluation.n is {self.n}: raise it or lower k")
        return self


class Recipe(Frozen):
    """A whole run."""

    name: str = Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")
    """Shown in lists and reports."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """All draws of the run follow from it."""
    data: DataRecipe = DataRecipe()
    model: ModelRecipe = ModelRecipe()
    prompt: PromptRecipe = PromptRecipe()
    answers: AnswerRule = AnswerRule()
    generation: GenerationRecipe = GenerationRecipe()
    warmup: WarmupRecipe | None = WarmupRecipe()
    prm: PrmRecipe | None = PrmRecipe()
    evolution: EvolutionRecipe = EvolutionRecipe()
    exploration: ExplorationRecipe = ExplorationRecipe()
    evaluation: EvaluationRecipe = EvaluationRecipe()

    @property
    def form(self) -> PromptForm:
        """How every question of the run is put, and where its answer is found."""
        return prompt_form(self.prompt, self.model.base)

    @property
    def reward_rule(self) -> RewardRule:
        """How R_p is made of step scores."""
        return self.prm.reward_rule if self.prm is not None else RewardRule()

    @property
    def scoring_form(self) -> PromptForm:
        """How questions are put to the PRM: as to the policy, but one that others trained knows none of our layouts."""
        if self.prm is not None and self.prm.train is None:
            return self.form.model_copy(update={"instruction": "", "system": ""})
        return self.form

    @property
    def prm_start(self) -> int:
        """Place in the seeded order of the training split at which the PRM's questions begin."""
        apart = self.prm is not None and self.prm.own_questions and self.warmup is not None
        return self.warmup.questions if apart and self.warmup else 0

    def trainings(self) -> dict[str, TrainRecipe]:
        """Settings of everything that is trained, by the section that has them."""
        found = {"evolution": self.evolution.train}
        if self.prm is not None and self.prm.train is not None:
            found = {"prm": self.prm.train} | found
        return ({"warmup": self.warmup.train} if self.warmup is not None else {}) | found

    @model_validator(mode="after")
    def _prm_where_needed(self) -> Self:
        if self.prm is not None:
            return self
        if self.evolution.selection.rule.needs_prm:
            raise Misfit("evolution.selection.mode", "ranks by the PRM: add a prm section, or choose all or random")
        if self.exploration.mode is ExplorationMode.REWARD_PASS:
            raise Misfit("exploration.mode", "reward_pass needs a prm section: add one, or set fixed or pass")
        return self

    @property
    def tests(self) -> dict[str, int]:
        """Splits that are answered greedily after each training → their questions, in the order of the tables."""
        named = {"test_id": self.data.test_id, "test_ood": self.data.test_ood, **self.evaluation.sets}
        return {split: questions for split, questions in named.items() if questions}

    @property
    def splits(self) -> dict[str, int]:
        """All splits that the run prepares → their questions. What is read, checked and measured follows from here."""
        data = self.data
        tests = {"test_id": data.test_id, "test_ood": data.test_ood, **self.evaluation.sets}
        named = {"train": data.train, "validation": data.validation, **tests}
        more = {"unlabelled": data.unlabelled, STEPS: self.prm.given if self.prm and self.prm.train else 0}
        return named | {split: questions for split, questions in more.items() if questions}

    @model_validator(mode="after")
    def _unlabelled_fit(self) -> Self:
        plan, wanted = self.evolution.unlabelled, round(self.evolution.questions * self.evolution.unlabelled.share)
        if not plan.share:
            return self
        if self.prm is None and not plan.oracle:
            raise Misfit("evolution.unlabelled.share", "the PRM weighs the votes: add a prm section, or set oracle")
        if wanted > self.data.unlabelled:
            raise Misfit(
                "data.unlabelled",
                f"{self.data.unlabelled} is less than the {wanted} unlabelled questions of an iteration: raise it, or "
                "lower evolution.unlabelled.share",
            )
        return self

    @model_validator(mode="after")
    def _enough_questions(self) -> Self:
        iterations = self.evolution if self.evolution.iterations else None
        trained = self.prm if self.prm and self.prm.train and not self.prm.given else None
        sections = {"warmup": self.warmup, "prm": trained, "evolution": iterations}
        parts = {name: part for name, part in sections.items() if part is not None}
        pools = [(f"{name}.questions", part.questions, "train") for name, part in parts.items()]
        if self.exploration.mode is not ExplorationMode.FIXED:
            pools.append(("exploration.questions", self.exploration.questions, "validation"))
        for field, wanted, split in pools:
            there = getattr(self.data, split)
            if wanted > there:
                raise Misfit(field, f"{wanted} exceeds data.{split}, which is {there}: lower it or raise data.{split}")
        if trained is not None and self.prm_start + trained.questions > self.data.train:
            raise Misfit(
                "prm.questions",
                f"{trained.questions} behind the {self.prm_start} of warmup.questions exceed data.train, which is "
                f"{self.data.train}: lower one of them, raise data.train, or set prm.own_questions to false, so that "
                "the PRM learns from questions of the warm-up",
            )
        return self

    @model_validator(mode="after")
    def _optimizer_can_go_on(self) -> Self:
        plan = self.evolution
        if self.warmup is None or not (plan.iterations and plan.inherit_warmup and plan.carries):
            return self
        if not plan.train.can_go_on_from(self.warmup.train):
            raise Misfit(
                "evolution.inherit_warmup",
                "the warm-up's optimizer has no state for what the iterations train: set it to false, or give both the "
                "same optimizer, lora and freeze_ fields",
            )
        return self

    @model_validator(mode="after")
    def _sweep_in_one_request(self) -> Self:
        plan = self.exploration
        prompts = min(self.generation.shard_questions, plan.questions) * len(plan.grid)
        if plan.mode is not ExplorationMode.FIXED and prompts > MAX_PROMPTS:
            raise Misfit(
                "generation.shard_questions",
                f"times the {len(plan.grid)} temperatures of exploration.grid is {prompts} prompts in one request, "
                f"and at most {MAX_PROMPTS} are taken: lower it to {MAX_PROMPTS // len(plan.grid)}",
            )
        return self


def parse_recipe(values: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Validate a recipe with overrides laid over it: dotted keys, sections, or both.

    `{"evolution.n": 2}` and `{"evolution": {"n": 2}}` mean the same and leave the rest of the section as it is.
    Raises InvalidRecipe naming the first bad field.
    """
    check_plain(values, "recipe")
    check_plain(overrides or {}, "overrides")
    if EXTENDS in values or EXTENDS in (overrides or {}):
        raise InvalidRecipe(
            "extends: parents are files, which are not read here: start the recipe by its file or its name, or send it "
            "to the coordinator; overrides cannot hold extends",
            field=EXTENDS,
        )
    merged = _copied(values)
    for path, value in _flat(overrides or {}).items():
        _set(merged, path, value)
    prm = merged.get("prm")
    if isinstance(prm, dict) and prm.get("train") is False:
        # Here, since below a validator that sees raw values pydantic takes no names for enums and no lists for tuples.
        prm["train"] = None
    try:
        # Strict: text or `true` is no number. From JSON, where lists may become tuples and names enums.
        return Recipe.model_validate_json(json.dumps(merged, allow_nan=False), strict=True)
    except ValidationError as error:
        raise _refusal(error) from None


def parse_recipe_yaml(text: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Validate a recipe in YAML. Raises InvalidRecipe."""
    return parse_recipe(recipe_values(text), overrides)


def recipe_values(text: str) -> dict[str, Any]:
    """The values of a recipe in YAML, not yet validated. Raises InvalidRecipe for text that is no mapping."""
    try:
        values = parse_yaml(text)
    except ValueError as error:
        raise InvalidRecipe(f"recipe is not valid YAML: {error}", field="recipe") from None
    if not isinstance(values, dict):
        raise InvalidRecipe("recipe must be a mapping with at least a name", field="recipe")
    return values


def _refusal(error: ValidationError) -> InvalidRecipe:
    first = error.errors(include_input=False, include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    places = [str(part) for part in first["loc"]]
    if isinstance(cause, Misfit):
        places.append(cause.field)
    field = ".".join(places) or "recipe"
    return InvalidRecipe(f"{field}: {first['msg'].removeprefix('Value error, ')}", field=field)


def _copied(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in values.items()}


def _flat(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides by the dotted path of the value that each sets. Raises InvalidRecipe where two set the same."""
    found: dict[str, Any] = {}
    for path, value in _leaves(overrides, ""):
        if path in found:
            raise InvalidRecipe(f"override {path} is given twice: keep one", field=path)
        found[path] = value
    for path in found:
        parts = path.split(".")
        outer = next((o for end in range(1, len(parts)) if (o := ".".join(parts[:end])) in found), None)
        if outer is not None:
            raise InvalidRecipe(f"override {path} lies inside {outer}, which is overridden too: keep one", field=path)
    return found


def _leaves(overrides: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in overrides.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _set(values: dict[str, Any], path: str, value: Any) -> None:
    """Set one value by its dotted path; an empty section leaves the one that is there."""
    *parents, leaf = path.split(".")
    if len(parents) >= MAX_DEPTH:
        raise InvalidRecipe(f"override {path} names more than {MAX_DEPTH} levels", field=path)
    place = values
    for part in parents:
        child = place.get(part)
        if child is None:
            child = place[part] = {}
        if not isinstance(child, dict):
            raise InvalidRecipe(f"override {path}: {part} is not a section", field=path)
        place = child
    if value != {} or not isinstance(place.get(leaf), dict):
        place[leaf] = value
