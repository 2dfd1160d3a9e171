"""Measure: judge every response of an evaluation by the benchmarks' official rules, and write tables and files."""

from typing import Literal

from mstar.judges.tables import TableRow
from mstar.steps import Queue, Stage, StepParams, StepResult
from mstar.types import Frozen


class MeasureParams(StepParams):
    """The shards of each benchmark, by its name. Result files go to the run's folder, so there is no artefact."""

    kind: Literal["measure"] = "measure"
    rows: dict[str, tuple[str, ...]]
    scores: dict[str, tuple[str, ...]] = {}


class MeasuredTable(Frozen):
    """One benchmark."""

    lines: tuple[TableRow, ...]
    """The first is the one that tables show; shares with their intervals of 95 %."""
    items: int
    """Prompts that were asked; a rotation is one."""
    cut: int
    """Responses that ended at the token limit."""
    refused: int
    """Items that the policy could not be asked, which count as wrong."""
    refusal: str = ""
    """The first reason."""


class MeasureResult(StepResult):
    """The tables."""

    kind: Literal["measure"] = "measure"
    benchmarks: dict[str, MeasuredTable]
    seconds: float = 0.0


MEASURE = Stage(MeasureParams, MeasureResult, Queue.CONTROL, artefact=False, shown=True)
