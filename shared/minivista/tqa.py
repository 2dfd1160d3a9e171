"""TQA: tables of three rows and two columns. The mean of a row, with one decimal, or a column as a list."""

import random

from minivista.canvas import Picture, blank, letter, line, number
from minivista.problems import Problem, Style, half, total
from mstar.types import Answer, AnswerType

NAMES = "ABC"
COLUMNS = ("first", "second")


def make(rng: random.Random, style: Style, split: str) -> Problem:
    """A table with a question about its cells."""
    table = [[rng.randint(style.low, style.high) for _ in COLUMNS] for _ in NAMES]
    picture = _draw(rng, style, table)
    return _mean(rng, table, picture) if rng.random() < 0.5 else _column(rng, table, picture)


def _mean(rng: random.Random, table: list[list[int]], picture: Picture) -> Problem:
    row = rng.randrange(3)
    first, second = table[row]
    halved, mean = half(first + second)
    steps = (f"{NAMES[row]} is {first} and {second}", total(first, second), halved)
    answer = Answer(type=AnswerType.FLOAT, value=mean, precision=1)
    return Problem(f"What is the mean of row {NAMES[row]}? Give one decimal.", answer, steps, _read(table), picture)


def _column(rng: random.Random, table: list[list[int]], picture: Picture) -> Problem:
    column = rng.randrange(2)
    values = [row[column] for row in table]
    read = ", ".join(f"{name} is {value}" for name, value in zip(NAMES, values, strict=True))
    answer = Answer(type=AnswerType.LIST, value="[" + ", ".join(map(str, values)) + "]")
    return Problem(f"List the {COLUMNS[column]} column in the order A, B, C.", answer, (read,), _read(table), picture)


def _read(table: list[list[int]]) -> str:
    return ", ".join(f"{name} is {row[0]} and {row[1]}" for name, row in zip(NAMES, table, strict=True))


def _draw(rng: random.Random, style: Style, table: list[list[int]]) -> Picture:
    picture = blank(rng.choice(style.backgrounds))
    colour = rng.choice(style.fills)
    for place, row in enumerate(table):
        height = 2 * (2 - place if style.mirrored else place)
        letter(picture, height, 0, NAMES[place], style.ink)
        number(picture, height, 2, row[0], style.ink)
        number(picture, height, 6, row[1], style.ink)
        line(picture, (height * 8 + 9, 0), (height * 8 + 9, 63), colour)
    line(picture, (4, 11), (60, 11), colour)
    return picture
