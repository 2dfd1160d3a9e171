"""Choose: join the sweep's shards into a curve over T and choose a temperature from it (paper, section 4)."""

from typing import Literal

from mstar.recipes import Estimator, ExplorationMode
from mstar.steps import Queue, Stage, StepParams, StepResult


class ChooseParams(StepParams):
    """Which shards, and which metric over them."""

    kind: Literal["choose"] = "choose"
    iteration: int
    mode: ExplorationMode
    grid: tuple[float, ...]
    k: int
    passes: int = 1
    """K of the Pass@K that is recorded beside the metric."""
    estimator: Estimator = Estimator.ARGMAX
    confidence: float = 0.8
    current: float
    """Temperature to keep on a tie, unless `previous` chose another."""
    previous: str | None = None
    """The choice before this one, if there was one."""
    rows: tuple[str, ...]
    scores: tuple[str, ...]


class ChooseResult(StepResult):
    """The whole curve, and the choice."""

    kind: Literal["choose"] = "choose"
    iteration: int
    curve: dict[str, float]
    """Metric for each temperature, written with one decimal or more."""
    chosen: float
    fitted: dict[str, float] = {}
    """The smooth curve, where the estimator draws one."""
    probability: float | None = None
    """That the highest point of the smooth curve is better than the temperature before the sweep."""
    pass_at_k: dict[str, float] = {}
    """Pass@`passes` at each temperature: it falls from sweep to sweep as training saturates."""
    passes: int = 1


CHOOSE = Stage(ChooseParams, ChooseResult, Queue.CONTROL, artefact=False, shown=True)
