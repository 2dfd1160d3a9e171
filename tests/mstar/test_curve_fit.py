"""The smooth curve, against what Gaussian process regression must do."""

from math import erf, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.curve_fit import HEIGHTS, LENGTHS, LEVEL, Matrix, Point, cholesky, fit, forward

PLACES = (0.3, 0.7, 1.1, 1.5)
VALUES = st.lists(st.floats(0, 1), min_size=4, max_size=4)
NOISE = st.floats(1e-4, 0.1)


def points(values: list[float], variance: float) -> list[Point]:
    return [Point(x, value, variance) for x, value in zip(PLACES, values, strict=True)]


@given(st.lists(st.lists(st.floats(-2, 2), min_size=3, max_size=3), min_size=3, max_size=3), st.floats(-3, 3))
def test_a_factor_gives_its_matrix_back_and_solves_with_it(seeds: Matrix, right: float) -> None:
    matrix = [
        [sum(a * b for a, b in zip(one, other, strict=True)) + (one is other) for other in seeds] for one in seeds
    ]
    root = cholesky(matrix)
    whole = [row + [0.0] * (3 - len(row)) for row in root]
    back = [[sum(a * b for a, b in zip(one, other, strict=True)) for other in whole] for one in whole]
    assert back == [pytest.approx(row, abs=1e-9) for row in matrix]
    solved = forward(root, [right, 1.0, -right])
    lower = [sum(a * b for a, b in zip(row, solved, strict=False)) for row in root]
    assert lower == pytest.approx([right, 1.0, -right], abs=1e-9)


@given(VALUES, NOISE, st.floats(-0.5, 0.5))
def test_a_shift_of_all_points_shifts_the_curve_and_nothing_else(
    values: list[float], noise: float, shift: float
) -> None:
    before, after = (fit(points([v + by for v in values], noise), PLACES) for by in (0.0, shift))
    for place in range(4):
        assert after.mean(place) == pytest.approx(before.mean(place) + shift, abs=1e-6)
        assert after.above(place, 0) == pytest.approx(before.above(place, 0), abs=1e-6)


@given(VALUES, NOISE)
def test_probabilities_complement_each_other_and_follow_no_settings_alone(values: list[float], noise: float) -> None:
    made = fit(points(values, noise), PLACES)
    assert sum(made.weights) == pytest.approx(1)
    for one in range(4):
        assert made.above(one, one) == pytest.approx(0.5)
        for other in range(4):
            assert made.above(one, other) + made.above(other, one) == pytest.approx(1)


def test_sure_points_are_met_and_unsure_ones_are_drawn_to_the_level() -> None:
    values = [0.5, 0.6, 0.55, 0.3]
    sure, unsure = fit(points(values, 1e-8), PLACES), fit(points(values, 1.0), PLACES)
    assert [sure.mean(place) for place in range(4)] == pytest.approx(values, abs=1e-3)
    assert [unsure.mean(place) for place in range(4)] == pytest.approx([0.4875] * 4, abs=0.05)
    assert sure.above(1, 3) > 0.999 > 0.6 > unsure.above(1, 3)


@given(VALUES, NOISE)
def test_it_is_the_textbook_posterior_averaged_by_evidence(values: list[float], noise: float) -> None:
    made = fit(points(values, noise), (0.5, 1.2))
    x, y, places = np.array(PLACES), np.array(values), np.array([0.5, 1.2])
    level = y.mean()
    raw, means, chances = [], [], []
    for height in HEIGHTS:
        for length in LENGTHS:

            def cov(a: Any, b: Any, h: float = height, ell: float = length) -> Any:
                return LEVEL**2 + h**2 * np.exp(-((a[:, None] - b[None, :]) ** 2) / (2 * ell**2))

            inverse = np.linalg.inv(cov(x, x) + noise * np.eye(4))
            raw.append(-0.5 * ((y - level) @ inverse @ (y - level) - np.linalg.slogdet(inverse)[1]))
            mean = level + cov(places, x) @ inverse @ (y - level)
            left = cov(places, places) - cov(places, x) @ inverse @ cov(x, places)
            means.append(mean[0])
            spread = sqrt(left[0, 0] + left[1, 1] - 2 * left[0, 1])
            chances.append(0.5 * (1 + erf((mean[0] - mean[1]) / spread / sqrt(2))))
    weights = np.exp(np.array(raw) - max(raw))
    weights /= weights.sum()
    assert made.weights == pytest.approx(weights, abs=1e-6)
    assert made.mean(0) == pytest.approx(weights @ means, abs=1e-6)
    assert made.above(0, 1) == pytest.approx(weights @ chances, abs=1e-5)


def test_a_curve_needs_a_point() -> None:
    with pytest.raises(ValueError, match="no point"):
        fit([], PLACES)
