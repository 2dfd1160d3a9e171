"""A smooth curve through noisy measurements whose noise is known: Gaussian process regression on a handful of points.

Rasmussen and Williams, Gaussian Processes for Machine Learning, sections 2.2 (posterior), 2.7 (vague constant) and 5.4
(evidence). A cubic, the other choice, bends where a curve is flat and then falls off, as accuracy over temperature
does. What this leaves out: where the measurements come from and what is done with the curve (`exploration`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erf, exp, fsum, log, sqrt

HEIGHTS = (0.02, 0.06, 0.2)
"""Standard deviations of the curve about its mean that are weighed up: from two points to twenty."""
LENGTHS = (0.5, 1.0)
"""Distances in x over which it bends. The paper's grid has steps of 0.1 and spans 1.3; where curves could bend within
0.2, the choice followed the noise (benchmarks/controller.md)."""
LEVEL = 1.0
"""Standard deviation of its mean level, which must not matter: shares lie within 0 and 1."""

Matrix = list[list[float]]
"""Rows of numbers."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement."""

    x: float
    value: float
    variance: float
    """Of the measurement's noise; above 0."""


@dataclass(frozen=True)
class _Smooth:
    """The curve for one height and length."""

    height: float
    length: float
    means: tuple[float, ...]
    """[places]"""
    reach: Matrix
    """L^-1 K(points, places), [places][points]: what the points explain of the curve at each place."""

    def kernel(self, one: float, other: float) -> float:
        """Covariance of the curve at two places before anything is measured."""
        # The constant is a prior on the mean level (2.7), so that no mean has to be fitted first.
        return LEVEL**2 + self.height**2 * exp(-0.5 * ((one - other) / self.length) ** 2)


@dataclass(frozen=True)
class Fit:
    """What is known of the curve at some places, as a mixture of normal distributions."""

    places: tuple[float, ...]
    weights: tuple[float, ...]
    """Of each height and length; they sum to 1."""
    parts: tuple[_Smooth, ...]

    def mean(self, place: int) -> float:
        """Expected height of the curve at the place of this number."""
        return fsum(weight * part.means[place] for weight, part in zip(self.weights, self.parts, strict=True))

    def above(self, one: int, other: int) -> float:
        """Probability that the curve is higher at place `one` than at place `other`."""
        chance = fsum(
            weight * _chance(part.means[one] - part.means[other], self._scatter(part, one, other))
            for weight, part in zip(self.weights, self.parts, strict=True)
        )
        return min(chance, 1.0)  # The weights add up to one but for rounding.

    def _scatter(self, part: _Smooth, one: int, other: int) -> float:
        """Variance of the difference of two places, given the points."""
        # Var(f(a) - f(b)) = V(a) + V(b) - 2 C(a, b), each from K(a, b) - k_a' (K + noise)^-1 k_b (equation 2.24).
        own = [
            part.kernel(self.places[a], self.places[b]) - _dot(part.reach[a], part.reach[b])
            for a, b in ((one, one), (other, other), (one, other))
        ]
        return own[0] + own[1] - 2 * own[2]


def fit(points: Sequence[Point], places: Sequence[float]) -> Fit:
    """The curve at `places`, averaged over heights and lengths by how well each explains the points.

    Averaging, and not the best setting alone, keeps a short sweep from looking certain. Raises ValueError without
    points.
    """
    if not points:
        raise ValueError("there is no point to draw a curve through")
    found = [_posterior(points, places, height, length) for height in HEIGHTS for length in LENGTHS]
    most = max(evidence for evidence, _ in found)
    # Less the largest: evidences of hundreds of nats below zero would all become 0.
    raw = [exp(evidence - most) for evidence, _ in found]
    weights = tuple(one / fsum(raw) for one in raw)
    return Fit(places=tuple(places), weights=weights, parts=tuple(part for _, part in found))


def _posterior(points: Sequence[Point], places: Sequence[float], height: float, length: float) -> tuple[float, _Smooth]:
    """Log evidence up to a constant, and the curve given the points."""
    prior = _Smooth(height, length, (), [])
    # Taken off first, so that the vague level costs no digits.
    centre = fsum(point.value for point in points) / len(points)
    values = [point.value - centre for point in points]
    noisy = [
        [prior.kernel(one.x, other.x) + (one.variance if row == column else 0.0) for column, other in enumerate(points)]
        for row, one in enumerate(points)
    ]
    # [points][points]. Noise of more than 0 on the diagonal keeps it positive definite, also for one x measured twice.
    root = cholesky(noisy)
    explained = forward(root, values)
    reach = [forward(root, [prior.kernel(point.x, place) for point in points]) for place in places]
    means = tuple(centre + _dot(column, explained) for column in reach)
    # Equation 5.8 without n/2 log 2 pi, which is the same for every height and length.
    evidence = -0.5 * _dot(explained, explained) - fsum(log(root[row][row]) for row in range(len(root)))
    return evidence, _Smooth(height, length, means, reach)


# By hand: `mstar` is without numpy, and a sweep has at most 64 points.
def cholesky(matrix: Matrix) -> Matrix:
    """The lower triangle L with L L' = `matrix`, which is symmetric and positive definite; zeros are left out."""
    root: Matrix = []
    for row, values in enumerate(matrix):
        own: list[float] = []
        for column in range(row):
            own.append((values[column] - _dot(own, root[column][:column])) / root[column][column])
        own.append(sqrt(values[row] - _dot(own, own)))
        root.append(own)
    return root


def forward(root: Matrix, values: Sequence[float]) -> list[float]:
    """The x with L x = `values`, for a lower triangle."""
    solved: list[float] = []
    for row, value in zip(root, values, strict=True):
        solved.append((value - _dot(solved, row[:-1])) / row[-1])
    return solved


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(first * second for first, second in zip(one, other, strict=True))


def _chance(difference: float, variance: float) -> float:
    """P(X > 0) for a normal X; a variance that rounding made negative is none."""
    if variance <= 1e-18:
        return 0.5 * (1 + (difference > 0) - (difference < 0))
    return 0.5 * (1 + erf(difference / sqrt(2 * variance)))
