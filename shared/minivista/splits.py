"""The splits: their sizes, their seeds, and how the i-th question of one is made.

Groups alternate, so every prefix of a split holds them in equal parts. Which split may hold a picture follows from the
picture's hash: a draw that another split owns is drawn again, so no picture can be in two of them.
"""

import hashlib
import random
from collections.abc import Iterator
from itertools import count

from minivista import fqa, gps, mwp, tqa, vqa
from minivista.canvas import png
from minivista.digits import SHARES
from minivista.problems import FOREIGN, STANDARD, Maker, Problem, Style
from mstar.seeds import derive

GROUPS: dict[str, Maker] = {"FQA": fqa.make, "GPS": gps.make, "MWP": mwp.make, "TQA": tqa.make, "VQA": vqa.make}
"""Task groups, named as MathVista's."""

_OWNERS = [split for split, share in SHARES.items() for _ in range(share)]


def group_at(index: int) -> str:
    """Task group of the question at a place: groups take turns."""
    return list(GROUPS)[index % len(GROUPS)]


def owner(digest: str) -> str:
    """The one split that may hold a picture, decided by its content hash."""
    return _OWNERS[int(digest[:8], 16) % len(_OWNERS)]


def draws(split: str, index: int, style: Style | None = None) -> Iterator[tuple[Problem, str]]:
    """Problems for a place of a split, each with its picture's SHA-256, until one suits the caller."""
    chosen = style or (FOREIGN if split == "test_ood" else STANDARD)
    maker = GROUPS[group_at(index)]
    for attempt in count():
        # A generator for each attempt, so that question i needs none of those before it.
        problem = maker(random.Random(derive(0, "minivista", split, index, attempt)), chosen, split)
        digest = hashlib.sha256(png(problem.picture)).hexdigest()
        if owner(digest) == split:
            yield problem, digest
