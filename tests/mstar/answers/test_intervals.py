"""Inequalities beside intervals."""

import pytest

from mstar.answers.intervals import as_interval, rising


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("-2 < x ≤ 3", "(-2,3]"),
        ("3 ≥ x > -2", "(-2,3]"),
        ("x > 0", "(0,\\infty)"),
        ("x ≤ 5", "(-\\infty,5]"),
        ("x \\in [1, 2)", "[1, 2)"),
    ],
)
def test_an_inequality_is_the_interval_that_it_names(text: str, interval: str) -> None:
    assert as_interval(text, "(0, 1)") == interval


@pytest.mark.parametrize("text", ["1 < x > 3", "x = 3", "x > y > z > 2", "2 < 3"])
def test_what_names_no_interval_stays(text: str) -> None:
    assert as_interval(text, "(0, 1)") == text


def test_beside_no_interval_an_inequality_stays() -> None:
    assert as_interval("x > 0", "x > 1") == "x > 0"


def test_a_chain_has_its_lower_end_first() -> None:
    assert rising("3 ≥ x > -2") == "-2<x≤3"
    assert rising("-2 < x ≤ 3") == "-2 < x ≤ 3"
    assert rising("x > 2") == "x > 2"
