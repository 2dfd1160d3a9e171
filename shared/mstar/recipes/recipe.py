"""The whole recipe: its sections, what follows from them together, and what one demands of another."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from mstar.answers.rule import AnswerRule
from mstar.misfit import Misfit
from mstar.prompts import PromptForm, PromptRecipe, prompt_form
from mstar.recipes.evaluation import EvaluationRecipe
from mstar.recipes.evolution import EvolutionRecipe
from mstar.recipes.exploration import ExplorationMode, ExplorationRecipe
from mstar.recipes.inputs import DataRecipe, GenerationRecipe, ModelRecipe
from mstar.recipes.measure import MeasureRecipe
from mstar.recipes.prm import PrmRecipe
from mstar.recipes.splits import STEPS
from mstar.recipes.warmup import WarmupRecipe
from mstar.reward import RewardRule
from mstar.trackers import Tracker
from mstar.train_recipe import TrainRecipe
from mstar.types import Frozen, as_tuple

MAX_PROMPTS = 8192
"""Prompts of one rollout request that the policy service takes."""


class Recipe(Frozen):
    """A whole run."""

    name: str = Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")
    """Shown in lists and reports."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Seed of all random draws of the run."""
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
    tracking: Annotated[tuple[Tracker, ...], BeforeValidator(as_tuple)] = Field(default=(), max_length=4)
    """Trackers that receive the run's numbers: `wandb`, `mlflow`, `tensorboard`, `trackio`. The package must be
    installed where the coordinator runs."""
    measure: MeasureRecipe | None = None
    """What an evaluation measures; unset in every recipe that is started, since `POST /v1/evaluations` sets it."""

    @property
    def form(self) -> PromptForm:
        """How every question of the run is put, and where its answer is found."""
        return prompt_form(self.prompt, self.model.base)

    @property
    def named_models(self) -> dict[str, str]:
        """Field → the model that it names, as far as the run reads it: an evaluation may measure a checkpoint."""
        measure, found = self.measure, {}
        if measure is None or measure.checkpoint is None:
            found["model.base"] = self.model.base
        if self.prm is not None and self.prm.base and (measure is None or measure.prm_checkpoint is None):
            found["prm.base"] = self.prm.base
        return found

    @property
    def reward_rule(self) -> RewardRule:
        """How R_p is made of step scores; an evaluation ranks by the least of all, the answer's own among them."""
        if self.measure is not None:
            return RewardRule(answer_block=True)
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
        if self.measure is not None:
            return {}
        # In the order in which they are trained, which tables and the memory plan keep.
        found = {"evolution": self.evolution.train}
        if self.prm is not None and self.prm.train is not None:
            found = {"prm": self.prm.train} | found
        return ({"warmup": self.warmup.train} if self.warmup is not None else {}) | found

    @model_validator(mode="after")
    def _prm_where_needed(self) -> Self:
        if self.prm is not None:
            return self
        # Asked of the rule and not of the mode, so that a new rule needs no line here.
        if self.evolution.selection.rule.needs_prm:
            raise Misfit("evolution.selection.mode", "ranks by the PRM: add a prm section, or choose all or random")
        if self.exploration.mode is ExplorationMode.REWARD_PASS:
            raise Misfit("exploration.mode", "reward_pass needs a prm section: add one, or set fixed or pass")
        return self

    @property
    def tests(self) -> dict[str, int]:
        """Splits that are answered greedily after each training → their questions, in the order of the tables."""
        if self.measure is not None:
            return {name: one.items for name, one in self.measure.sets.items()}
        named = {"test_id": self.data.test_id, "test_ood": self.data.test_ood, **self.evaluation.sets}
        return {split: questions for split, questions in named.items() if questions}

    def tests_after(self, iteration: int | None) -> dict[str, int]:
        """How many questions of each test are answered after an iteration; None: after base model or warm-up."""
        between = self.evaluation.between
        if between is None or iteration is None or iteration >= self.evolution.iterations:
            return self.tests
        return {split: min(questions, between) for split, questions in self.tests.items()}

    @property
    def splits(self) -> dict[str, int]:
        """All splits that the run prepares → their questions. What is read, checked and measured follows from here."""
        if self.measure is not None:
            return self.tests
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
        # A fixed temperature leaves the sweep's defaults standing, which nothing uses.
        if self.exploration.mode is not ExplorationMode.FIXED:
            pools.append(("exploration.questions", self.exploration.questions, "validation"))
        for field, wanted, split in pools:
            there = getattr(self.data, split)
            if wanted > there:
                raise Misfit(field, f"{wanted} exceeds data.{split}, which is {there}: lower it or raise data.{split}")
        if trained is not None and self.prm_start + trained.questions > self.data.train:
            raise Misfit(
                "prm.questions",
                f"{trained.questions} after the {self.prm_start} of warmup.questions exceed data.train, which is "
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
        # A sweep's shard is one request: every temperature of a question at once, so that its prefix is computed once.
        prompts = min(self.generation.shard_questions, plan.questions) * len(plan.grid)
        if plan.mode is not ExplorationMode.FIXED and prompts > MAX_PROMPTS:
            raise Misfit(
                "generation.shard_questions",
                f"times the {len(plan.grid)} temperatures of exploration.grid is {prompts} prompts in one request, "
                f"and at most {MAX_PROMPTS} are taken: lower it to {MAX_PROMPTS // len(plan.grid)}",
            )
        return self
