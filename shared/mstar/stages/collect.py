"""Collect: join the label shards into the PRM's training set."""

from typing import Literal

from mstar.recipes import LabelRule
from mstar.steps import Queue, Stage, StepParams, StepResult


class CollectParams(StepParams):
    """Which shards, and how their labels are made. Output: `rows.jsonl.gz` of StepLabelRow."""

    kind: Literal["collect"] = "collect"
    rows: tuple[str, ...]
    given: bool = False
    """Take the solutions that the data set brought, in place of label shards."""
    label: LabelRule
    balance: bool


class CollectResult(StepResult):
    """What the training set holds."""

    kind: Literal["collect"] = "collect"
    solutions: int
    kept: int
    steps: int
    mean_label: float


COLLECT = Stage(CollectParams, CollectResult, Queue.CONTROL, shown=True)
