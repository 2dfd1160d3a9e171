"""Which split a record falls into by shares: drawn by its own content, so the order of the source does not matter."""

from collections.abc import Mapping

from mstar.seeds import derive


def drawn_split(content: str, shares: Mapping[str, float], seed: int = 0) -> str:
    """A split, each with its share of all contents."""
    point, below = derive(seed, "split", content) / 2**63, 0.0
    for split, share in shares.items():
        below += share
        if point < below:
            return split
    return list(shares)[-1]
