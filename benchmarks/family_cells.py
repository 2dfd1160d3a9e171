"""A data set that a model of 0.5 M weights can learn in two minutes: pictures of two by two cells, to be counted.

A cell is as large as what one image token stands for. Test-OOD has discs on grey where the other splits have squares.
What this leaves out: MiniVista, whose chains take hours to learn from nothing.
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
CELL = 28
"""Pixels of a cell's side."""
SIZES: Mapping[str, int] = {"train": 200, "validation": 32, "test_id": 100, "test_ood": 50}


@dataclass(frozen=True)
class Problem:
    """One picture and what is asked about it."""

    image: Image.Image
    question: str
    response: str
    answer: str


def draw(rng: random.Random, *, discs: bool = False) -> Problem:
    """A picture, one of four questions, and the chain that counts row by row."""
    cells = [rng.choice(sorted(COLOURS)) for _ in range(4)]
    asked = rng.choice(sorted(COLOURS))
    upper, lower = (sum(cell == asked for cell in row) for row in (cells[:2], cells[2:]))
    chain = f"The upper row has {upper} and the lower row has {lower}.\n\n{upper} + {lower} = {upper + lower}."
    return Problem(
        image=_painted(rng, cells, discs=discs),
        question=f"How many cells are {asked}?",
        response=f"{chain}\n\n## Answer\n\n{upper + lower}",
        answer=str(upper + lower),
    )


def _painted(rng: random.Random, cells: list[str], *, discs: bool) -> Image.Image:
    image = Image.new("RGB", (2 * CELL, 2 * CELL), (150, 150, 150))
    pen = ImageDraw.Draw(image)
    for place, colour in enumerate(cells):
        left, top = CELL * (place % 2), CELL * (place // 2)
        # No two pictures are equal, so that none of a test was trained on.
        shade = tuple(part + rng.randint(-30, 30) for part in COLOURS[colour])
        shape = pen.ellipse if discs else pen.rectangle
        shape((left, top, left + CELL - 1, top + CELL - 1), fill=shade)
    return image


def write_splits(folder: Path) -> Path:
    """Write the data set as `docs/data.md` describes one of your own."""
    for split, questions in SIZES.items():
        rng = random.Random(f"cells/{split}")
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
