"""Names of the trackers that a run can be shown in. What each one is sent is the same."""

from enum import StrEnum


class Tracker(StrEnum):
    """A tool in which people compare runs."""

    WANDB = "wandb"
    MLFLOW = "mlflow"
    TENSORBOARD = "tensorboard"
    TRACKIO = "trackio"
