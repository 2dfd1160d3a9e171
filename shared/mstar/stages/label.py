"""Label: Monte-Carlo step labels for the solutions of one rollout shard (paper, section 3)."""

from typing import Literal

from mstar.steps import Queue, Stage, StepParams, StepResult


class LabelParams(StepParams):
    """Which solutions, and how many completions a prefix. Output: `rows.jsonl.gz` of StepLabelRow."""

    kind: Literal["label"] = "label"
    rows: str
    weights: str
    """Step whose artefact is the policy checkpoint that completes."""
    completions: int
    temperature: float
    max_steps: int
    """Solutions with more steps are left out."""


class LabelResult(StepResult):
    """Counts of one shard."""

    kind: Literal["label"] = "label"
    solutions: int
    too_long: int = 0
    """Solutions that were left out for their number of steps."""
    prefixes: int
    completions: int
    seconds: float


LABEL = Stage(LabelParams, LabelResult, Queue.ROLLOUT, shown=True, sharded=True)
