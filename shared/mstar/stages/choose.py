"""Choose: join the sweep's shards into a curve over T and choose its highest point (paper, section 4)."""

from typing import Literal

from mstar.recipes import ExplorationMode
from mstar.steps import Queue, Stage, StepParams, StepResult


class ChooseParams(StepParams):
    """Which shards, and which metric over them."""

    kind: Literal["choose"] = "choose"
    iteration: int
    mode: ExplorationMode
    grid: tuple[float, ...]
    k: int
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


CHOOSE = Stage(ChooseParams, ChooseResult, Queue.CONTROL, artefact=False, shown=True)
