"""Which split a record falls into by shares: drawn by its own content, so the order of the source does not matter."""

import re
from collections.abc import Mapping

from mstar.seeds import derive

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_TAKEN = ("steps", "images", "unlabelled")


def split_name(name: str) -> str:
    """`train`, `validation`, `test_id`, `test_ood`, or a further test that a recipe names in `evaluation.sets`.

    Raises ValueError for a name that no split can have.
    """
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise ValueError(f"{name[:40]!r} cannot name a split: use small letters, digits, - and _")
    return name


def drawn_split(content: str, shares: Mapping[str, float], seed: int = 0) -> str:
    """A split, each with its share of all contents."""
    point, below = derive(seed, "split", content) / 2**63, 0.0
    for split, share in shares.items():
        below += share
        if point < below:
            return split
    return list(shares)[-1]
