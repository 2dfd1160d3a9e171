"""MWP: word problems whose numbers are real handwritten digits."""

import random

import numpy as np

from minivista.canvas import GREYS, Picture, blank, box
from minivista.digits import handwritten
from minivista.problems import Problem, Style, difference, total
from mstar.types import Answer, AnswerType

THINGS = ("apples", "coins", "books", "cards")


def make(rng: random.Random, style: Style, split: str) -> Problem:
    """Two numbers in pictures with a small word problem."""
    top, bottom = rng.randint(style.low, style.high), rng.randint(2, 9)
    picture = blank(rng.choice(style.backgrounds))
    cells = ["no"] * 16
    for digit, row, column in ((top // 10, 0, 1), (top % 10, 0, 2), (bottom, 2, 2)):
        cells[row * 4 + column] = str(digit)
        _paste(picture, rng, split, digit, row, column, light=style.mirrored)
    box(picture, 50, 12, 53, 52, rng.choice(style.fills))
    things = rng.choice(THINGS)
    if rng.random() < 0.5:
        question = f"Ann has the top number of {things} and gets the bottom number more. How many now?"
        step, value = total(top, bottom), top + bottom
    else:
        question = f"Ann has the top number of {things} and gives the bottom number away. How many now?"
        step, value = difference(top, bottom), top - bottom
    answer = Answer(type=AnswerType.INTEGER, value=str(value))
    read = f"top is {top}, bottom is {bottom}"
    return Problem(question, answer, (read, step), read, picture, tuple(cells))


def _paste(picture: Picture, rng: random.Random, split: str, digit: int, row: int, column: int, *, light: bool) -> None:
    """Dark ink on light paper, or the reverse."""
    levels = rng.choice(list(handwritten(split)[digit]))
    # Levels are 0 for paper and 16 for ink; the palette's greys go from black to white.
    ink = levels if light else 16 - levels
    picture[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16] = (GREYS + ink).astype(np.uint8)
