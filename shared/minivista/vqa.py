"""VQA: scenes of coloured shapes. Which shape is the most frequent, by choice, or how many of two kinds there are."""

import random

from minivista.canvas import blank, shape
from minivista.problems import Problem, Style, total
from mstar.types import Answer, AnswerType

KINDS = ("circle", "square", "triangle")
LETTERS = "ABC"


def make(rng: random.Random, style: Style, split: str) -> Problem:
    """Objects to count and compare."""
    # Three different counts, so that one shape is the most frequent; 6 + 5 + 4 fit the 16 cells.
    counts = rng.sample(range(1, 7), 3)
    cells = rng.sample(range(16), sum(counts))
    picture = blank(rng.choice(style.backgrounds))
    kinds = [kind for kind, count in zip(KINDS, counts, strict=True) for _ in range(count)]
    seen = ["no"] * 16
    for cell, kind in zip(cells, kinds, strict=True):
        seen[cell] = kind
        shape(picture, cell // 4, cell % 4, kind, rng.choice(style.fills))
    counted = ", ".join(f"{kind} {count}" for kind, count in zip(KINDS, counts, strict=True))
    if rng.random() < 0.5:
        options = rng.sample(range(3), 3)
        listed = " ".join(f"({LETTERS[place]}) {KINDS[kind]}" for place, kind in enumerate(options))
        most = counts.index(max(counts))
        letter = LETTERS[options.index(most)]
        answer = Answer(type=AnswerType.CHOICE, value=letter, choices=tuple(KINDS[kind] for kind in options))
        steps = (counted, f"most is {KINDS[most]}")
        return Problem(f"Which shape is most frequent? {listed}", answer, steps, counted, picture, tuple(seen))
    first, second = sorted(rng.sample(range(3), 2))
    read = f"{KINDS[first]} {counts[first]}, {KINDS[second]} {counts[second]}"
    value = counts[first] + counts[second]
    question = f"How many shapes are a {KINDS[first]} or a {KINDS[second]}?"
    answer = Answer(type=AnswerType.INTEGER, value=str(value))
    return Problem(question, answer, (read, total(counts[first], counts[second])), counted, picture, tuple(seen))
