"""GPS: geometry figures. The perimeter of a rectangle, or the third angle of a triangle."""

import random

from minivista.canvas import blank, box, line, number
from minivista.problems import Problem, Style, difference, double, total
from mstar.types import Answer, AnswerType


def make(rng: random.Random, style: Style, split: str) -> Problem:
    """A rectangle or triangle with a question about its measures."""
    return _rectangle(rng, style) if rng.random() < 0.5 else _triangle(rng, style)


def _rectangle(rng: random.Random, style: Style) -> Problem:
    width, height = (rng.randint(style.low, style.high) for _ in range(2))
    picture = blank(rng.choice(style.backgrounds))
    box(picture, 12, 20, 28 + height // 3, 36 + width // 3, rng.choice(style.fills), filled=False)
    number(picture, 0, 4, width, style.ink)
    number(picture, 2, 0, height, style.ink)
    half = width + height
    steps = (f"sides are {width} and {height}", total(width, height), double(half))
    answer = Answer(type=AnswerType.INTEGER, value=str(2 * half))
    return Problem("What is the perimeter of the rectangle?", answer, steps, f"sides are {width} and {height}", picture)


def _triangle(rng: random.Random, style: Style) -> Problem:
    # At most 79 each, so the third angle stays above 0.
    left, right = (rng.randint(max(style.low, 20), style.high) for _ in range(2))
    picture = blank(rng.choice(style.backgrounds))
    colour = rng.choice(style.fills)
    top = (8, rng.randint(20, 44))
    for start, end in (((44, 4), (44, 60)), ((44, 4), top), ((44, 60), top)):
        line(picture, start, end, colour)
    number(picture, 6, 0, left, style.ink)
    number(picture, 6, 6, right, style.ink)
    known = left + right
    steps = (f"angles are {left} and {right}", total(left, right), difference(180, known))
    answer = Answer(type=AnswerType.INTEGER, value=str(180 - known))
    return Problem("What is the third angle of the triangle?", answer, steps, f"angles are {left} and {right}", picture)
