"""Evaluate: join evaluation shards into one line of the results table."""

from typing import Literal

from mstar.marks import Marks
from mstar.ranking_quality import Ranking
from mstar.steps import Queue, Stage, StepParams, StepResult
from mstar.types import Frozen


class EvaluateParams(StepParams):
    """Which policy, by its label, and which shards sampled it."""

    kind: Literal["evaluate"] = "evaluate"
    label: str
    """base, warmup, or itNN."""
    greedy: tuple[str, ...]
    """Of the tests, and of validation."""
    sampled: tuple[str, ...]
    scores: tuple[str, ...]
    spread: tuple[str, ...] = ()
    """Samples of validation at `evaluation.temperatures`."""
    k: int


class Accuracy(Frozen):
    """Greedy accuracy on the tests, in [0, 1]."""

    id: float
    ood: float | None
    by_task: dict[str, float]
    """On test-ID, by task group."""
    sets: dict[str, float] = {}
    """On the further tests of `evaluation.sets`, by name."""
    groups: dict[str, dict[str, float]] = {}
    """On each test by name, by task group."""


class OnValidation(Frozen):
    """What else is measured on the validation questions, all on the same ones; shares in [0, 1]."""

    greedy: float | None = None
    majority: float = 0.0
    """Questions whose most frequent answer is right."""
    weighted_vote: float | None = None
    """The same with each response weighing its reward; None without a PRM, as below."""
    best_of_n: float | None = None
    """Questions whose response of the highest reward is right."""
    pass_by_temperature: dict[str, float] = {}
    """Pass@K at each sampling temperature: it falls over the iterations as training saturates."""
    ranking: Ranking = Ranking()
    """Sound above unsound among correct responses, where the data set knows which are sound."""


class EvaluateResult(StepResult):
    """One line of the results table; shares in [0, 1]."""

    kind: Literal["evaluate"] = "evaluate"
    label: str
    greedy: Accuracy
    pass_at_k: float
    k: int
    reward_pass_at_2: float | None
    sampled_accuracy: float
    headroom: float | None = None
    """Pass@K minus greedy accuracy, both on validation."""
    best_of_n: float | None = None
    validation: OnValidation | None = None
    sound_among_correct: float | None = None
    marks: dict[str, Marks] = {}
    """By test: which questions were answered right greedily."""


EVALUATE = Stage(EvaluateParams, EvaluateResult, Queue.CONTROL, artefact=False, shown=True)
