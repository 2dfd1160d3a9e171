"""What the five task groups share: a problem, and the style it is drawn in."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from minivista.canvas import (
    BLACK,
    BLUE,
    CREAM,
    CYAN,
    GREEN,
    MINT,
    NAVY,
    ORANGE,
    PINK,
    PURPLE,
    RED,
    SNOW,
    TEAL,
    WHITE,
    YELLOW,
    Picture,
)
from mstar.types import Answer


@dataclass(frozen=True)
class Style:
    """Colours and range of values; test-OOD has another one than every other split."""

    backgrounds: tuple[int, ...]
    ink: int
    fills: tuple[int, ...]
    low: int
    high: int
    """Values are drawn from low to high, both included."""
    mirrored: bool = False
    """Bars hang from the top and tables list their rows upwards."""


STANDARD = Style((WHITE, CREAM, MINT), BLACK, (RED, GREEN, BLUE, YELLOW), 10, 59)
FOREIGN = Style((NAVY, TEAL), SNOW, (PINK, PURPLE, ORANGE, CYAN), 30, 79, mirrored=True)


@dataclass(frozen=True)
class Problem:
    """A picture with a question, its answer, and the one sound chain that leads there."""

    question: str
    answer: Answer
    steps: tuple[str, ...]
    transcript: str
    """Everything that can be read in the picture; only pretraining asks for it."""
    picture: Picture
    cells: tuple[str, ...] = ()
    """What fills each cell of the 4 x 4 grid, or `no`; empty where no grid is used. Only pretraining asks for it."""


Maker = Callable[[random.Random, Style, str], Problem]
"""Draws a problem from a generator, in a style, with the real material of the named split."""


def total(first: int, second: int) -> str:
    """How every sound chain writes an addition."""
    return f"Sum: {first} + {second} = {first + second}"


def difference(first: int, second: int) -> str:
    """The step that subtracts."""
    return f"Rest: {first} - {second} = {first - second}"


def double(value: int) -> str:
    """The step that doubles."""
    return f"Twice: 2 x {value} = {2 * value}"


def half(value: int) -> tuple[str, str]:
    """The step, and the result with its one decimal."""
    result = f"{value // 2}.{5 * (value % 2)}"
    return f"Half: {value} / 2 = {result}", result
