"""How sure a benchmark's number is: Wilson intervals, bootstrap intervals, and a paired bootstrap between two models.

Shares in [0, 1]; intervals of 95 %. Resampling is seeded, so the same outcomes give the same interval.
"""

import math
import random
from collections.abc import Mapping, Sequence
from statistics import fmean

from mstar.judges.benchmark import Average
from mstar.types import Frozen

Z = 1.959964
"""Quantile of the normal distribution for 95 %."""
RESAMPLES = 2000
Values = Mapping[str, Sequence[float]]
"""Outcomes of questions by group."""


class Interval(Frozen):
    """A range that holds the true share in 95 of 100 cases."""

    low: float
    high: float


class Difference(Frozen):
    """How a model compares with another on the same questions."""

    points: float
    """Mean of the first minus mean of the second, as a share."""
    low: float
    high: float
    p_value: float
    """Two-sided: how often a resample falls on the other side of zero."""
    questions: int


def wilson(successes: int, n: int) -> Interval:
    """The score interval of a share (Wilson 1927). Raises ValueError for no trial."""
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} of {n} is not a share")
    share = successes / n
    middle = share + Z * Z / (2 * n)
    half = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    return Interval(low=max(0.0, (middle - half) / scale), high=min(1.0, (middle + half) / scale))


def averaged(values: Values, average: Average) -> float:
    """Mean over all questions, or over the groups' means. Raises ValueError where there is nothing to average."""
    groups = [group for group in values.values() if group]
    if not groups:
        raise ValueError("there is nothing to average")
    return fmean(map(fmean, groups)) if average is Average.COLUMNS else fmean(one for group in groups for one in group)


def interval_of(values: Values, average: Average, seed: int = 0) -> Interval:
    """Wilson's for a share of right answers, and for a mean of such shares; else the percentile bootstrap."""
    groups = [group for group in values.values() if group]
    # Means over samples are not counts of successes, which Wilson's interval is for.
    if any(one not in (0.0, 1.0) for group in groups for one in group):
        return _percentiles(sorted(_resampled(values, average, seed)))
    if average is Average.COLUMNS:
        return _mean_of_shares(groups)
    return wilson(round(sum(map(sum, groups))), sum(map(len, groups)))


def _mean_of_shares(groups: Sequence[Sequence[float]]) -> Interval:
    """The distances to the groups' Wilson limits, combined as variances (MOVER: Zou and Donner 2008)."""
    ends = [(fmean(group), wilson(round(sum(group)), len(group))) for group in groups]
    middle = fmean(share for share, _ in ends)
    below = math.sqrt(sum((share - end.low) ** 2 for share, end in ends)) / len(ends)
    above = math.sqrt(sum((end.high - share) ** 2 for share, end in ends)) / len(ends)
    return Interval(low=max(0.0, middle - below), high=min(1.0, middle + above))


def compare(one: Values, other: Values, average: Average, seed: int = 0) -> Difference:
    """Paired bootstrap over the questions (Efron and Tibshirani 1993): both models are resampled together.

    The values of a group stand in the same order on both sides. Raises ValueError for groups that do not match.
    """
    if {name: len(group) for name, group in one.items()} != {name: len(group) for name, group in other.items()}:
        raise ValueError("the two models were not measured on the same questions")
    differences = {name: [a - b for a, b in zip(group, other[name], strict=True)] for name, group in one.items()}
    drawn = sorted(_resampled(differences, average, seed))
    # Zero counts on both sides, so two equal models have p = 1.
    beyond = min(sum(one <= 0 for one in drawn), sum(one >= 0 for one in drawn)) / len(drawn)
    ends = _percentiles(drawn)
    return Difference(
        points=averaged(differences, average),
        low=ends.low,
        high=ends.high,
        p_value=min(1.0, 2 * beyond),
        questions=sum(map(len, differences.values())),
    )


def _resampled(values: Values, average: Average, seed: int) -> list[float]:
    draw = random.Random(seed)
    # Within each group, since the sizes of groups are fixed by the benchmark and are not a draw.
    groups = {name: group for name, group in values.items() if group}
    return [
        averaged({name: draw.choices(group, k=len(group)) for name, group in groups.items()}, average)
        for _ in range(RESAMPLES)
    ]


def _percentiles(ordered: Sequence[float]) -> Interval:
    last = len(ordered) - 1
    return Interval(low=ordered[round(0.025 * last)], high=ordered[round(0.975 * last)])
