"""Data that a model of 0.3 M weights learns in minutes: pictures of two halves, whose colours are worth points.

A half is as large as what two image tokens stand for. Whoever does not look is right in one of four cases at best.
Test-OOD has discs on grey where the other splits have full halves. What this leaves out: MiniVista, whose chains take
hours to learn from nothing.
"""

import io
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (200, 50, 50), "green": (50, 170, 70), "blue": (60, 80, 200), "yellow": (220, 200, 60)
}  # fmt: skip
POINTS: Mapping[str, int] = {name: place for place, name in enumerate(COLOURS, 1)}
CELL = 28
"""Pixels of the side of what one image token stands for."""
SIZES: Mapping[str, int] = {"train": 300, "validation": 32, "test_id": 100, "test_ood": 50}
QUESTION = "Red is worth 1 point, green 2, blue 3, yellow 4. How many points are the two halves worth together?"


@dataclass(frozen=True)
class Problem:
    """One picture and what is asked about it."""

    image: Image.Image
    question: str
    response: str
    answer: str


def draw(rng: random.Random, *, discs: bool = False) -> Problem:
    """A picture, the question, and the chain that reads both halves and adds."""
    upper, lower = (rng.choice(list(COLOURS)) for _ in range(2))
    first, second = POINTS[upper], POINTS[lower]
    readings = f"The upper half is {upper}, so {first}.\n\nThe lower half is {lower}, so {second}."
    return Problem(
        image=_painted(rng, (upper, lower), discs=discs),
        question=QUESTION,
        response=f"{readings}\n\n{first} + {second} = {first + second}.\n\n## Answer\n\n{first + second}",
        answer=str(first + second),
    )


def _painted(rng: random.Random, halves: tuple[str, str], *, discs: bool) -> Image.Image:
    image = Image.new("RGB", (2 * CELL, 2 * CELL), (150, 150, 150))
    pen = ImageDraw.Draw(image)
    for row, colour in enumerate(halves):
        for left in (0, CELL):
            # No two pictures are equal, so that none of a test was trained on.
            shade = tuple(part + rng.randint(-30, 30) for part in COLOURS[colour])
            shape = pen.ellipse if discs else pen.rectangle
            shape((left, CELL * row, left + CELL - 1, CELL * row + CELL - 1), fill=shade)
    return image


def write_splits(folder: Path) -> Path:
    """Write the data set as `docs/data.md` describes one of your own."""
    for split, questions in SIZES.items():
        rng = random.Random(f"halves/{split}")
        (folder / split).mkdir(parents=True)
        with open(folder / split / "metadata.jsonl", "w") as out:
            for number in range(questions):
                problem, name = draw(rng, discs=split == "test_ood"), f"{number:04d}.png"
                (folder / split / name).write_bytes(_png(problem.image))
                record = {"file_name": name, "question": problem.question, "answer": problem.answer}
                out.write(json.dumps(record) + "\n")
    return folder


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
