"""One problem of the set: nine values in a 3 x 3 grid, and a question about three of them.

Cells are lettered A to I, row by row. In-domain all cells of a picture are in one script and on light paper; in
test-OOD each has a script of its own, on dark paper. Which split may hold a scene follows from a hash of its values and
scripts, which a picture fixes, so no picture can be in two splits.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from minivista.canvas import (
    BLACK,
    BLUE,
    CREAM,
    CYAN,
    MINT,
    NAVY,
    ORANGE,
    PINK,
    RED,
    SNOW,
    TEAL,
    WHITE,
    Picture,
    blank,
)
from minivista.digits import flowers
from minivista.study.arithmetic import FAMILIAR, WEIGHTS, result
from minivista.study.scripts import CELL, SCRIPTS, VALUES, Pen
from mstar.seeds import derive

NAMES = "ABCDEFGHI"
SIDE = 3 * CELL
SPLITS = ("pretrain", "train", "unlabelled", "validation", "test_id", "test_ood")
OWNERS = (
    "pretrain",
    "pretrain",
    "pretrain",
    "train",
    "train",
    "unlabelled",
    "validation",
    "test_id",
    "test_id",
    "test_ood",
    "test_ood",
)
"""Which split may hold a scene, by its hash."""
FOREIGN = "test_ood"
FLOWER_SHARE = 0.25
"""Bar charts whose values are of measured flowers."""


@dataclass(frozen=True)
class Scene:
    """What a picture shows and what is asked of it."""

    values: tuple[int, ...]
    """Of the cells A to I."""
    scripts: tuple[str, ...]
    """How each of them is shown."""
    asked: tuple[str, str, str]
    """Names of the three cells."""
    signs: tuple[str, str]

    @property
    def question(self) -> str:
        """The text of the question."""
        (first, second, third), (inner, outer) = self.asked, self.signs
        return f"What is ({first} {inner} {second}) {outer} {third}?"

    def value(self, name: str) -> int:
        """What a cell shows."""
        return self.values[NAMES.index(name)]

    def script(self, name: str) -> str:
        """How a cell shows it."""
        return self.scripts[NAMES.index(name)]

    @property
    def answer(self) -> int:
        """What the question asks for."""
        first, second, third = map(self.value, self.asked)
        return result(self.signs[1], result(self.signs[0], first, second), third)


def owner(values: Sequence[int], scripts: Sequence[str]) -> str:
    """The one split that may hold a scene."""
    digest = hashlib.sha256(",".join((*map(str, values), *scripts)).encode()).digest()
    return OWNERS[int.from_bytes(digest[:4], "big") % len(OWNERS)]


def group_at(index: int) -> str:
    """Task group of the question at a place: groups take turns."""
    return tuple(SCRIPTS)[index % len(SCRIPTS)]


def draws(split: str, index: int, *, foreign: bool | None = None) -> Iterator[tuple[Scene, Picture]]:
    """Scenes for a place of a split with their pictures [48, 48], until one suits the caller.

    `foreign`: in the style of test-OOD; by default only there.
    """
    strange = split == FOREIGN if foreign is None else foreign
    group = group_at(index)
    weights = FAMILIAR if split == "pretrain" else WEIGHTS
    rng = random.Random(derive(0, "minivista-study", split, index))
    while True:
        values = _values(rng, group, split)
        scripts = rng.choices(tuple(SCRIPTS), k=len(NAMES)) if strange else [group] * len(NAMES)
        # Drawn again from the same generator, so the i-th question depends on its own place alone.
        if owner(values, scripts) != split:
            continue
        asked = rng.sample(NAMES, 3)
        signs = rng.choices(tuple(weights), tuple(weights.values()), k=2)
        scene = Scene(tuple(values), tuple(scripts), (asked[0], asked[1], asked[2]), (signs[0], signs[1]))
        yield scene, _draw(rng, scene, split, dark=strange)


def _values(rng: random.Random, group: str, split: str) -> list[int]:
    values = rng.choices(VALUES, k=len(NAMES))
    if group == "FQA" and rng.random() < FLOWER_SHARE:
        measured = flowers(split)
        picked = [int(one) % 10 for _ in range(2) for one in rng.choice(measured)]
        values[: len(picked)] = picked
    return values


def _draw(rng: random.Random, scene: Scene, split: str, *, dark: bool) -> Picture:
    papers, inks = ((NAVY, TEAL), (SNOW, PINK, ORANGE, CYAN)) if dark else ((WHITE, CREAM, MINT), (BLACK, RED, BLUE))
    picture = blank(rng.choice(papers), SIDE)
    pen = Pen(rng.choice(inks), dark, split)
    for place, (value, script) in enumerate(zip(scene.values, scene.scripts, strict=True)):
        top, left = place // 3 * CELL, place % 3 * CELL
        SCRIPTS[script](rng, picture[top : top + CELL, left : left + CELL], value, pen)
    return picture
