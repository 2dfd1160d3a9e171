"""Contents of a checkpoint's `trainer_state.json`: where training stands, and what the step reported.

No torch here: the worker reads it to see whether a step was already done.
"""

from pathlib import Path

from mstar.stages.train import TrainResult
from mstar.steps import ArtefactRef
from mstar.train_recipe import TrainRecipe
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
    schedule_step: int | None = None
    """Updates since the schedule of the learning rate began; None in checkpoints from before it was counted."""
    examples_seen: int
    """Rows trained since the optimizer was created; grows over iterations when it is carried over."""
    settings: TrainRecipe | None = None
    """What was trained, and how; None in checkpoints from before it was kept."""
    base: ArtefactRef | None = None
    """With LoRA, the checkpoint whose weights lie below the adapters."""
    result: TrainResult
    """What the step reported, with `seconds` 0: equal work gives equal bytes."""


def goes_on_with_adapters(before: TrainerState | None, settings: TrainRecipe) -> bool:
    """Whether training with `settings` continues the adapters of a checkpoint instead of putting new ones on it."""
    if before is None or before.base is None or before.settings is None or settings.lora is None:
        return False
    # The optimizer may be another; adapters are the same where the parts that have them are.
    return settings.can_go_on_from(before.settings.model_copy(update={"optimizer": settings.optimizer}))


def read_state(checkpoint: Path) -> TrainerState | None:
    """State of the checkpoint in a folder; None for a base model, which has none."""
    path = checkpoint / STATE
    return TrainerState.model_validate_json(path.read_bytes()) if path.exists() else None
