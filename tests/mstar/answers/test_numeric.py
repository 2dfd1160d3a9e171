"""Formulas of numbers that are worked out, and those that are not."""

import math

import pytest

from mstar.answers.numeric import value_of


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        (r"\frac{3}{4} + 2^{3}", 8.75), (r"\sqrt{50}", 50**0.5), (r"5\sqrt2", 50**0.5), (r"\frac{\pi}{3}", math.pi / 3),
        (r"\frac13", 1 / 3), (r"-\frac{2\pi}{6}", -math.pi / 3), ("2(3 - 5)", -4), (r"\cos(0)", 1),
        (r"2\pi/3", 2 * math.pi / 3),
    ],
)  # fmt: skip
def test_a_formula_of_numbers_is_worked_out(formula: str, value: float) -> None:
    found = value_of(formula)
    assert found is not None
    assert math.isclose(found.real, value, abs_tol=1e-12)


@pytest.mark.parametrize(
    "formula",
    [
        r"1/2\pi", r"\sin 2\pi", "2^10", r"1\frac{1}{2}", r"\log 5", "x = 1", "x", "(1, 2)", "9^{99}", "1/0", "cm", "",
        "(" * 30 + "1" + ")" * 30, "1" * 300, r"\frac{1}", "2 3",
    ],
)  # fmt: skip
def test_what_is_read_in_two_ways_or_is_too_large_is_not(formula: str) -> None:
    assert value_of(formula) is None
