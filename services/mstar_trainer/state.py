"""Contents of a checkpoint's `trainer_state.json`: where training stands, and what the step reported.

No torch here: the worker reads it to see whether a step was already done.
"""

from pathlib import Path

from mstar.stages.train import TrainResult
from mstar.types import Frozen

STATE = "trainer_state.json"


class TrainerState(Frozen):
    """Where the optimizer stands after a train step."""

    objective: str
    step: str
    """Name of the train step, which with the recipe's seed fixes order and random numbers."""
    parent: str
    """Version of the checkpoint that training began from."""
    global_step: int
    """Updates since the optimizer was created."""
    examples_seen: int
    """Rows trained since the optimizer was created; grows over iterations when it is carried over."""
    result: TrainResult
    """What the step reported, with `seconds` 0: equal work gives equal bytes."""


def read_state(checkpoint: Path) -> TrainerState | None:
    """State of the checkpoint in a folder; None for a base model, which has none."""
    path = checkpoint / STATE
    return TrainerState.model_validate_json(path.read_bytes()) if path.exists() else None
