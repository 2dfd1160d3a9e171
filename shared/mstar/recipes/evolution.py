"""The iterations' section: what each samples, keeps and trains on, and what it carries over from the last."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from mstar.misfit import Misfit
from mstar.recipes.inputs import MAX_QUESTIONS
from mstar.selection_rules import MAX_SAMPLES, SelectionRecipe
from mstar.train_recipe import MAX_UPDATES, TrainRecipe, share_of
from mstar.types import Frozen


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
    """Share of an iteration's questions that have no answer."""
    begin: float = Field(default=0.0, ge=0, lt=1)
    """Iterations use them after this share of `evolution.iterations`."""
    oracle: bool = False
    """Use their reference answers if the data set has them: an upper bound of what pseudo-answers could give."""


class EvolutionRecipe(Frozen):
    """The iterations."""

    iterations: int = Field(default=4, ge=0, le=1000)
    """Number of iterations; more can be added later."""
    questions: int = Field(default=1000, ge=1, le=MAX_QUESTIONS)
    """Questions per iteration, unlabelled ones included (the interval of the paper's table 1)."""
    n: int = Field(default=16, ge=1, le=MAX_SAMPLES)
    """Responses sampled per question."""
    temperature: float = Field(default=1.0, gt=0, le=2)
    """Sampling temperature until a sweep sets another."""
    init: InitFrom = InitFrom.LAST
    """Policy that an iteration starts training from: the `last`, or the `first` as in ReST-EM."""
    optimizer: OptimizerState = OptimizerState.CARRIED
    """`carried` continues optimizer and schedule of the last iteration, `fresh` starts new ones."""
    inherit_warmup: bool = True
    """With `optimizer: carried`, the first iteration takes over the optimizer state of the warm-up, but not its
    schedule. Ours; the paper does not say."""
    updates: int | None = Field(default=None, ge=1, le=MAX_UPDATES)
    """Optimizer steps of all iterations together, divided evenly; instead of `train.updates`. An iteration that is
    added later trains as long as the last."""
    selection: SelectionRecipe = SelectionRecipe()
    unlabelled: UnlabelledRecipe = UnlabelledRecipe()
    train: TrainRecipe = TrainRecipe()

    def unlabelled_in(self, iteration: int) -> int:
        """How many questions of an iteration (1-based) have no answer."""
        # By the iterations of the recipe: what is added later comes after the beginning in any case.
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
        # One schedule over all iterations, since a continuous run has one optimizer.
        return self.updates or each * self.iterations

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.updates is not None and (self.train.updates is not None or self.train.epochs != 1):
            key = "train.updates" if self.train.updates is not None else "train.epochs"
            raise Misfit(key, "evolution.updates already says how long all iterations train: leave one of the two out")
        # share_of gives each at least one, so fewer would be exceeded without a word.
        if self.updates is not None and self.updates < self.iterations:
            raise Misfit("updates", f"{self.updates} is less than one for each of the {self.iterations} iterations")
        # Without an iteration nothing is trained here, and a schedule has no length to fit.
        if self.iterations:
            self.train.check_schedule(self.horizon(self.iterations), "evolution.updates or evolution.train.updates")
        return self
