"""What a benchmark is made of: items, the official prompt and rule, and how the table is averaged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mstar.types import Frozen, Verdict

Row = Mapping[str, Any]
"""A record with the columns of the published file."""


class Item(Frozen):
    """One question of a benchmark, with all that its prompt and its rule need."""

    id: str
    question: str
    """As published."""
    options: tuple[str, ...] = ()
    """In the order (A), (B) …; empty for a free answer."""
    gold: str
    """For a choice the letter of the right option, else the answer as published."""
    kind: str = "choice"
    """`choice`, or MathVista's answer type: integer, float, list, text."""
    precision: int | None = None
    """Decimals that count, for a float."""
    unit: str = ""
    hint: str = ""
    """Text that the benchmark shows before the question."""
    group: str = "ALL"
    """Column of the table."""
    subgroup: str = ""
    """The finer group that the file names."""
    circle: str = ""
    """Items with the same value are rotations of one question; empty: the item stands for itself."""


class Average(StrEnum):
    """What the last column is: the mean over all items, or the mean over the table's columns."""

    ITEMS = "items"
    COLUMNS = "columns"


@dataclass(frozen=True)
class Benchmark:
    """A benchmark with its official prompt and rule."""

    name: str
    title: str
    read: Callable[[Row], Item]
    """Raises InvalidDataset naming the column that is missing or wrong."""
    prompt: Callable[[Item], str]
    judge: Callable[[str, Item], Verdict]
    """Verdict on a whole response."""
    columns: tuple[str, ...]
    """Groups in the order of the table."""
    files: str
    """Regular expression for the paths of the published files, in lower case."""
    size: int
    """Questions of the published set, without rotations; 0 for one whose editions differ."""
    vlmevalkit: str
    """Name of the set in VLMEvalKit, for result files in its shape; empty where it has none."""
    lmms_eval: str
    """Name of the task in lmms-eval; empty where it has none."""
    average: Average = Average.ITEMS
    only_columns: bool = False
    """Leave out items of other groups."""
    rotations: Callable[[Item], Sequence[Item]] | None = None
    """Makes the rotations of a question whose file has none; None for a benchmark that asks each question once."""

    def keeps(self, item: Item) -> bool:
        """Whether the item counts for this table."""
        return not self.only_columns or item.group in self.columns
