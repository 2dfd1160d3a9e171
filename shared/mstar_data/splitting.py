"""Which split a record falls into by shares: drawn by its own content, so the order of the source does not matter."""

from collections.abc import Mapping

from mstar.seeds import derive


def drawn_split(content: str, shares: Mapping[str, float], seed: int = 0) -> str:
    """A split, each with its share of all contents."""
    # `derive` gives 63 bits, so the point is uniform in [0, 1).
    point, below = derive(seed, "split", content) / 2**63, 0.0
    for split, share in shares.items():
        below += share
        if point < below:
            return split
    # Rounding may leave the sum of the shares a little below 1.
    return list(shares)[-1]
