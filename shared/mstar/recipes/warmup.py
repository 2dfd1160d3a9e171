"""The warm-up's section: chains that the base model writes for known answers."""

from typing import Self

from pydantic import Field, model_validator

from mstar.recipes.inputs import MAX_QUESTIONS
from mstar.selection_rules import MAX_SAMPLES
from mstar.train_recipe import TrainRecipe
from mstar.types import Frozen


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
