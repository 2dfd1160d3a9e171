"""Train: policy (`sft`) or PRM (`prm`). The trainer does these steps; all others are the coordinator's workers'."""

from typing import Literal

from mstar.steps import Queue, Stage, StepParams, StepResult
from mstar.train_recipe import TrainRecipe


class TrainParams(StepParams):
    """Examples, weights to begin with, and settings. Output: a checkpoint artefact."""

    kind: Literal["train"] = "train"
    objective: Literal["sft", "prm"]
    iteration: int
    data: tuple[str, ...]
    """Steps whose rows are the examples, one step after the other."""
    parent: str
    """Step whose checkpoint gives the weights."""
    carry_optimizer: bool
    """Take optimizer moments and their count of updates from the parent as well."""
    carry_schedule: bool = True
    """With `carry_optimizer`: go on in the schedule where the parent stopped, instead of at its begin."""
    horizon: int | None = None
    """Updates over which the schedule runs, those of earlier steps included; None where it has no end."""
    settings: TrainRecipe


class TrainResult(StepResult):
    """What was trained, and how the loss fell."""

    kind: Literal["train"] = "train"
    examples: int
    steps: int
    global_step: int
    """Optimizer steps since the optimizer was created; grows over iterations when it is carried over."""
    first_loss: float
    last_loss: float
    losses: tuple[float, ...]
    """Mean loss per optimizer step, in nats per token."""
    learning_rate: float
    tokens: int
    seconds: float


TRAIN = Stage(TrainParams, TrainResult, Queue.TRAIN, shown=True)
