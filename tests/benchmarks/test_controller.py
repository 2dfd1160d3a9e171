"""The simulated sweeps follow the curve that they are drawn from, and a rule that knows it has no regret."""

import numpy as np
import pytest
from benchmarks.controller import CURRENT, RULES, halved, outcomes, simulated, smooth

from mstar.recipes import PAPER_GRID


@pytest.mark.parametrize("common", [False, True])
def test_the_mean_of_many_questions_is_the_curve(common: bool) -> None:
    for _, truth, draw in simulated()[:2]:
        drawn = draw(np.random.default_rng(0), 5_000, common)
        assert drawn.mean(axis=0) == pytest.approx(truth, abs=0.03)


def test_every_rule_chooses_from_the_grid() -> None:
    _, _, draw = simulated()[0]
    for rule in RULES:
        assert rule.pick(draw(np.random.default_rng(1), 60, rule.common)) in PAPER_GRID


def test_without_noise_the_best_is_found_whole_or_halved() -> None:
    # One question in ten more is solved at each step towards 0.7.
    table = np.array([[float(q % 10 < 9 - round(10 * abs(t - 0.7))) for t in PAPER_GRID] for q in range(400)])
    assert smooth(0.5)(table) == halved(0.5, 2)(table) == 0.7 != CURRENT
    assert set(outcomes(table)) == set(PAPER_GRID)
