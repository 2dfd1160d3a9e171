"""Evaluate: join evaluation shards into one line of the results table."""

from typing import Literal

from mstar.marks import Marks
from mstar.steps import Queue, Stage, StepParams, StepResult
from mstar.types import Frozen


class EvaluateParams(StepParams):
    """Which policy, by its label, and which shards sampled it."""

    kind: Literal["evaluate"] = "evaluate"
    label: str
    """base, warmup, or itNN."""
    greedy: tuple[str, ...]
    sampled: tuple[str, ...]
    scores: tuple[str, ...]
    k: int


class Accuracy(Frozen):
    """Greedy accuracy on the tests, in [0, 1]."""

    id: float
    ood: float | None
    by_task: dict[str, float]
    """On test-ID, by task group."""
    sets: dict[str, float] = {}
    """On the further tests of `evaluation.sets`, by name."""


class EvaluateResult(StepResult):
    """One line of the results table; shares in [0, 1]."""

    kind: Literal["evaluate"] = "evaluate"
    label: str
    greedy: Accuracy
    pass_at_k: float
    k: int
    reward_pass_at_2: float | None
    sampled_accuracy: float
    headroom: float
    """Pass@K on validation minus greedy accuracy on test-ID."""
    best_of_n: float | None = None
    sound_among_correct: float | None = None
    marks: dict[str, Marks] = {}
    """By test: which questions were answered right greedily."""


EVALUATE = Stage(EvaluateParams, EvaluateResult, Queue.CONTROL, artefact=False, shown=True)
