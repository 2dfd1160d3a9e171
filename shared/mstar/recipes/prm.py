"""The process reward model's section: its base, its labels, and how its scores become a reward."""

from enum import StrEnum
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from mstar.misfit import Misfit
from mstar.needed_scores import NO_SAVINGS, Savings
from mstar.recipes.inputs import MAX_QUESTIONS
from mstar.reward import Aggregate, RewardRule
from mstar.selection_rules import MAX_SAMPLES
from mstar.train_recipe import TrainRecipe
from mstar.types import Frozen


class LabelRule(StrEnum):
    """How Monte-Carlo successes become a label: their share, or whether there was one. Ours; the paper is silent."""

    SOFT = "soft"
    HARD = "hard"


class PrmRecipe(Frozen):
    """Process reward model (PRM): Monte-Carlo step labels from the warm-up policy, then training from the same base.

    Or one that others published, which is served as it is: `train: false` and its folder as `base`.
    """

    base: str | None = Field(default=None, min_length=1, max_length=1024)
    """Local folder of the model that the PRM is trained from, or, with `train: false`, of the PRM itself; unset, it is
    trained from `model.base`."""
    given: int = Field(default=0, ge=0, le=MAX_QUESTIONS)
    """Labelled solutions from the data set's split `steps` to train on; 0 samples and labels our own. Above 0, the
    fields on how labels are made have no effect."""
    questions: int = Field(default=400, ge=1, le=MAX_QUESTIONS)
    """Training questions whose solutions are labelled step by step."""
    own_questions: bool = True
    """Use the questions after those of the warm-up in the seeded order, so that no question trains both; `false` starts
    at the beginning, like the warm-up, for data with too few questions for both. Ours; the paper does not say."""
    n: int = Field(default=4, ge=1, le=MAX_SAMPLES)
    """Solutions sampled per question."""
    completions: int = Field(default=16, ge=1, le=MAX_SAMPLES)
    """Monte-Carlo completions per prefix. Ours; the paper gives no number."""
    temperature: float = Field(default=1.0, gt=0, le=2)
    """Sampling temperature of solutions and completions."""
    max_steps: int = Field(default=32, ge=1, le=512)
    """Solutions with more steps than this are not labelled; of the others, every step is."""
    aggregate: Aggregate = Aggregate.MIN
    """How step scores become R_p: `min` (the paper), `mean`, `product`, `last`, or `length_min`, the minimum corrected
    for the number of steps. All but `min` are ours."""
    answer_block: bool = False
    """Whether the answer's own score counts too. In the paper R_p is over the steps, without the answer."""
    label: LabelRule = LabelRule.SOFT
    """`soft`: the share of completions that reach the answer; `hard`: whether any did."""
    balance: bool = True
    """Keep equal numbers of solutions with a low and with a high minimum label."""
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
        # The base model is not a PRM, so it cannot stand in for one that is not trained.
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
