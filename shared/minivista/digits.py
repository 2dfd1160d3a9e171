"""Real material: handwritten digits and measured flowers, which `material.py` took from scikit-learn's bundled sets.

They are shared out among the splits: a digit image or a flower that one split uses appears in no other.
"""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MATERIAL = Path(__file__).with_name("material.npz")
"""`images` of shape [1797, 8, 8] with grey levels 0 to 16, their `digits` [1797], `flowers` [150, 4] in millimetres."""
SHARES = {"pretrain": 6, "train": 5, "unlabelled": 2, "validation": 2, "test_id": 3, "test_ood": 2}
"""Of every twenty examples, how many go to which split."""


@cache
def handwritten(split: str) -> dict[int, NDArray[np.uint8]]:
    """Digit → images of shape [count, 16, 16], grey levels 0 to 16, doubled in size."""
    with np.load(MATERIAL) as material:
        # [1797, 8, 8] to [1797, 16, 16]: a cell of the benchmark's grid.
        images, digits = material["images"].repeat(2, axis=1).repeat(2, axis=2), material["digits"]
    mine = _places(len(images), split)
    return {digit: images[mine][digits[mine] == digit] for digit in range(10)}


@cache
def flowers(split: str) -> NDArray[np.int64]:
    """Sepal length, sepal width, petal length and petal width in millimetres, shape [count, 4]."""
    with np.load(MATERIAL) as material:
        measured: NDArray[np.int64] = material["flowers"].astype(np.int64)
    return measured[_places(len(measured), split)]


def _places(count: int, split: str) -> NDArray[np.int64]:
    owners = [name for name, share in SHARES.items() for _ in range(share)]
    # 7 and 20 have no common factor, so every owner comes once in twenty places, and neighbours (irises are sorted by
    # kind) go to different splits.
    return np.array([place for place in range(count) if owners[place * 7 % len(owners)] == split])
