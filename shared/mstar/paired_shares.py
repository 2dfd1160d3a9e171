"""How two policies differ on the same questions, from one run each: a difference of paired shares with its interval.

The interval is over the questions only. How much another seed would change a run is not in it; `study.statistics` has
the intervals over seeds and questions.
"""

import math
from collections.abc import Sequence

from mstar.judges.statistics import wilson
from mstar.types import Frozen


class PairedDifference(Frozen):
    """The share of the first minus that of the second, in points, with an interval of 95 %."""

    points: float
    low: float
    high: float
    questions: int


def paired_difference(one: Sequence[int], other: Sequence[int]) -> PairedDifference:
    """Compare marks of 0 and 1 on the same questions in the same order (Newcombe 1998, method 10).

    Raises ValueError for no question, and for lists of different lengths.
    """
    pairs = list(zip(one, other, strict=True))
    n = len(pairs)
    # Newcombe's fourfold table: e, f, g and (below) h.
    both, first, second = (pairs.count(kind) for kind in ((1, 1), (1, 0), (0, 1)))
    neither = n - both - first - second
    a, b = wilson(both + first, n), wilson(both + second, n)
    share, against = (both + first) / n, (both + second) / n
    phi = _correlation(both, first, second, neither)
    # Each limit joins the first share's distance to its own limit with the second's to the opposite one.
    below = _combined(share - a.low, b.high - against, phi)
    above = _combined(a.high - share, against - b.low, phi)
    difference = share - against
    return PairedDifference(
        points=100 * difference, low=100 * (difference - below), high=100 * (difference + above), questions=n
    )


def _correlation(both: int, first: int, second: int, neither: int) -> float:
    """Phi of the fourfold table, moved towards 0 by Newcombe's continuity correction; 0 where it is undefined."""
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    if not margins:
        return 0.0
    excess: float = both * neither - first * second
    if excess > 0:
        excess = max(0.0, excess - (both + first + second + neither) / 2)
    return excess / math.sqrt(margins)


def _combined(one: float, other: float, phi: float) -> float:
    """The length of two distances that correlate; rounding may not take it below zero."""
    return math.sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))
