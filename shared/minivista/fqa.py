"""FQA: bar charts with four bars, made up or of real measurements. Two values are read and combined."""

import random

from minivista.canvas import Picture, blank, box, letter, number
from minivista.digits import flowers
from minivista.problems import Problem, Style, difference, total
from mstar.types import Answer, AnswerType

NAMES = "ABCD"


def make(rng: random.Random, style: Style, split: str) -> Problem:
    """A bar chart with a question about its values."""
    values = [rng.randint(style.low, style.high) for _ in NAMES]
    if rng.random() < 0.25:
        # Measured flowers, [4]: real values are correlated, which made-up ones are not.
        values = [int(v) for v in rng.choice(list(flowers(split)))]
    if min(values) < 10:
        # Numbers are drawn with two digits.
        values = [max(v, 10) for v in values]
    first, second = rng.sample(range(4), 2)
    if rng.random() < 0.5:
        question = f"What is the total of {NAMES[first]} and {NAMES[second]}?"
        step, value = total(values[first], values[second]), values[first] + values[second]
    else:
        if values[first] < values[second]:
            first, second = second, first
        question = f"By how much is {NAMES[first]} more than {NAMES[second]}?"
        step, value = difference(values[first], values[second]), values[first] - values[second]
    read = f"{NAMES[first]} is {values[first]}, {NAMES[second]} is {values[second]}"
    answer = Answer(type=AnswerType.INTEGER, value=str(value))
    transcript = ", ".join(f"{name} is {value}" for name, value in zip(NAMES, values, strict=True))
    return Problem(question, answer, (read, step), transcript, _draw(rng, style, values))


def _draw(rng: random.Random, style: Style, values: list[int]) -> Picture:
    picture = blank(rng.choice(style.backgrounds))
    for place, value in enumerate(values):
        height = 4 + value * 36 // 100
        top = 16 if style.mirrored else 54 - height
        box(picture, top, place * 16 + 2, top + height, place * 16 + 12, rng.choice(style.fills))
        number(picture, 0, place * 2, value, style.ink)
        letter(picture, 7, place * 2, NAMES[place], style.ink)
    return picture
