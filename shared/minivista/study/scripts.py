"""Five ways to show a value from 0 to 9 in a cell of 16 x 16 pixels; each task group has its own.

A printed digit (TQA), a handwritten one (MWP), so many dots (VQA), the angle of a needle (GPS), the height of a bar
(FQA, in part values of measured flowers).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from minivista.canvas import GLYPHS, GREYS, Picture, line
from minivista.digits import handwritten

CELL = 16
VALUES = range(10)
_TIPS = ((-7, 0), (-6, 4), (-2, 7), (2, 7), (6, 4), (7, 0), (6, -4), (2, -7), (-2, -7), (-6, -4))
"""(row, column) from the middle of the cell to the needle's tip, for each value; clockwise, 0 points up."""


@dataclass(frozen=True)
class Pen:
    """What a value is drawn with."""

    ink: int
    light: bool
    """Handwriting is light on dark paper."""
    split: str
    """Whose handwriting."""


Draw = Callable[[random.Random, Picture, int, Pen], None]
"""Draws a value into a view of a picture, [16, 16]."""


def _printed(rng: random.Random, cell: Picture, value: int, pen: Pen) -> None:
    top, left = rng.randint(0, 2), rng.randint(1, 5)
    # [7, 5] to [14, 10]
    glyph = GLYPHS[str(value)].repeat(2, axis=0).repeat(2, axis=1)
    cell[top : top + 14, left : left + 10][glyph] = pen.ink


def _handwritten(rng: random.Random, cell: Picture, value: int, pen: Pen) -> None:
    images = handwritten(pen.split)[value]
    levels = images[rng.randrange(len(images))]
    cell[:] = GREYS + (levels if pen.light else 16 - levels)


def _dots(rng: random.Random, cell: Picture, value: int, pen: Pen) -> None:
    # Nine places for at most nine dots, so the count is never in doubt.
    for place in rng.sample(VALUES[:9], value):
        row, column = 1 + place // 3 * 5, 1 + place % 3 * 5
        cell[row : row + 3, column : column + 3] = pen.ink


def _needle(rng: random.Random, cell: Picture, value: int, pen: Pen) -> None:
    row, column = 7 + rng.randint(0, 1), 7 + rng.randint(0, 1)
    down, right = _TIPS[value]
    cell[row - 1 : row + 2, column - 1 : column + 2] = pen.ink
    line(cell, (row, column), (row + down, column + right), pen.ink)


def _bar(rng: random.Random, cell: Picture, value: int, pen: Pen) -> None:
    left = rng.randint(2, 6)
    cell[15, 1:15] = pen.ink
    cell[15 - value * 3 // 2 : 15, left : left + 8] = pen.ink


SCRIPTS: dict[str, Draw] = {"FQA": _bar, "GPS": _needle, "MWP": _handwritten, "TQA": _printed, "VQA": _dots}
"""Task group, named as MathVista's → how it shows values."""
