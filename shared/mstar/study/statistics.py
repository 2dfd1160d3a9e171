"""How sure a difference between two arms is: a bootstrap over seeds and questions, Student's t, and Holm's correction.

All runs answer the same questions, so a study is a table of seeds by questions, and both are drawn anew: a resample
draws seeds and, once for all of them, questions (the pigeonhole bootstrap: Owen, Annals of Applied Statistics 2007). To
draw questions for each seed by itself would count one test of 3,000 questions as eight tests. Everything that is
compared is paired by seed and by question. Intervals are of 95 %.

With two to eight seeds the percentiles of a bootstrap are too narrow (Hesterberg 2015), so its standard error is
corrected for the number of seeds and multiplied with Student's quantile.
"""

import math
import random
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from mstar.types import Frozen

RESAMPLES = 2000
Table = Sequence[Sequence[int]]
"""Values by seed and question, each from -1 to 1: marks of one policy, or the differences between two."""


class Estimate(Frozen):
    """A mean over seeds and questions, in points, and how sure it is."""

    mean: float
    low: float | None
    """Ends of the interval; None with one seed, which tells nothing of others."""
    high: float | None
    probability: float | None
    """That the true mean is above zero."""
    p_value: float | None
    """Two-sided, against zero."""
    error: float | None
    """Standard error."""
    seeds: int

    def above(self, bound: float) -> bool:
        """Whether the mean is above a bound, at a one-sided level of 5 %."""
        if self.error is None:
            return False
        return self.mean - quantile(0.95, self.seeds - 1) * self.error > bound

    def below(self, bound: float) -> bool:
        """Whether the mean is below a bound, likewise."""
        if self.error is None:
            return False
        return self.mean + quantile(0.95, self.seeds - 1) * self.error < bound


def estimates(tables: Mapping[str, Table], seed: int = 0, resamples: int = RESAMPLES) -> dict[str, Estimate]:
    """An estimate for each table; all are of the same questions, and are resampled together.

    Raises ValueError for tables that differ in their number of questions, or are empty.
    """
    widths = {len(row) for table in tables.values() for row in table}
    if len(widths) > 1 or 0 in widths or any(not table for table in tables.values()):
        raise ValueError("tables of one test have a row for each seed and equally many questions in each")
    # Seeded, so that the published numbers can be computed again to the last digit.
    drawn = _resampled(tables, random.Random(seed), resamples)
    return {name: _estimate(table, drawn[name]) for name, table in tables.items()}


def over_seeds(values: Sequence[float]) -> Estimate:
    """Student's t of one number a seed, in points: how sure the mean is for other seeds on the same questions."""
    error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return _sure(fmean(values), error, len(values))


def differences(one: Table, other: Table) -> list[list[int]]:
    """One table minus another, seed by seed and question by question. Raises ValueError for other shapes."""
    return [[a - b for a, b in zip(*rows, strict=True)] for rows in zip(one, other, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected = [0.0] * len(p_values)
    least = 0.0
    # The k-th smallest is multiplied by the hypotheses that are left, and never falls below one before it.
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = least
    return corrected


def cumulative(t: float, freedom: int) -> float:
    """Probability that Student's t with this many degrees of freedom is below `t`.

    The finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4. Raises ValueError for less than one degree.
    """
    if freedom < 1:
        raise ValueError("Student's t needs a degree of freedom")
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for step in range(freedom // 2):
        total += term
        term *= cosine * cosine * ((2 * step + 2) / (2 * step + 3) if odd else (2 * step + 1) / (2 * step + 2))
    inside = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return min(1.0, max(0.0, 0.5 + inside / 2))


def quantile(probability: float, freedom: int) -> float:
    """Student's quantile, by bisection. Raises ValueError for a probability that is not within (0, 1)."""
    if not 0 < probability < 1:
        raise ValueError(f"{probability} is not a probability within (0, 1)")
    # Wide enough for one degree of freedom at 0.9999; 80 halvings leave less than a double's spacing.
    low, high = -1e4, 1e4
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if cumulative(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def _estimate(table: Table, drawn: Sequence[float]) -> Estimate:
    seeds, mean = len(table), 100 * fmean(fmean(row) for row in table)
    # A bootstrap's variance over m seeds is (m - 1) / m of the unbiased one.
    return _sure(mean, 100 * stdev(drawn) * math.sqrt(seeds / (seeds - 1)) if seeds > 1 else None, seeds)


def _sure(mean: float, error: float | None, seeds: int) -> Estimate:
    """Interval and p-value of a mean by Student's t; none without a standard error."""
    if error is None:
        return Estimate(mean=mean, low=None, high=None, probability=None, p_value=None, error=None, seeds=seeds)
    half = quantile(0.975, seeds - 1) * error
    # Without any scatter the sign alone decides, and a mean of exactly zero is even.
    below = cumulative(-mean / error, seeds - 1) if error else 0.5 * (mean <= 0) + 0.5 * (mean < 0)
    return Estimate(
        mean=mean,
        low=mean - half,
        high=mean + half,
        probability=1 - below,
        p_value=min(1.0, 2 * min(below, 1 - below)),
        error=error,
        seeds=seeds,
    )


def _resampled(tables: Mapping[str, Table], draw: random.Random, resamples: int) -> dict[str, list[float]]:
    """Means of all tables over drawn seeds and questions.

    A question is one number that holds the values of all seeds of all tables side by side, so one sum over the drawn
    questions adds every column: a hundred times faster than a loop over them.
    """
    # [seeds of all tables][questions]
    rows = [row for table in tables.values() for row in table]
    questions = len(rows[0]) if rows else 0
    # A value is shifted to 0, 1 or 2, so that a lane holds its sum over all questions without a carry.
    lane = (2 * questions).bit_length()
    packed = [sum((row[place] + 1) << lane * number for number, row in enumerate(rows)) for place in range(questions)]
    found: dict[str, list[float]] = {name: [] for name in tables}
    for _ in range(resamples if questions else 0):
        # One draw of questions for all seeds and tables, which all answered the same ones.
        total = sum(draw.choices(packed, k=questions))
        means = [(total >> lane * number & (1 << lane) - 1) / questions - 1 for number in range(len(rows))]
        begin = 0
        for name, table in tables.items():
            # Seeds are drawn for each table by itself: two pairs may rest on different seeds.
            found[name].append(fmean(draw.choices(means[begin : begin + len(table)], k=len(table))))
            begin += len(table)
    return found
