"""Train: policy (`sft`) or PRM (`prm`). The trainer does these steps; all others are the coordinator's workers'."""

from typing import Literal

from mstar.recipes import TrainRecipe
from mstar.steps import Queue, Stage, StepParams, StepResult


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
    """Take optimizer moments, global step and schedule from the parent as well."""
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
