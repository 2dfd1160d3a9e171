"""Inequalities beside intervals."""

import pytest

from mstar.answers.intervals import as_interval, chained, rising


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


@pytest.mark.parametrize(
    "text",
    ["x > 3 and x ≤ 7", "x ≤ 7, x > 3", "3 < x and 7 ≥ x", "\\{x \\mid 3 < x ≤ 7\\}", "\\{x : x > 3 and x ≤ 7\\}"],
)
def test_two_ends_side_by_side_are_a_chain(text: str) -> None:
    assert as_interval(chained(text), "(0, 1)") == "(3,7]"


@pytest.mark.parametrize(
    "text", ["x > 3 or x ≤ 7", "x > 3 and x > 7", "x > 3 and y ≤ 7", "x > 3", "x > 1 and x > 2 and x < 3"]
)
def test_what_has_no_two_ends_is_no_chain(text: str) -> None:
    assert chained(text) == text


def test_a_union_begins_below() -> None:
    union = "(-\\infty, -2) \\cup (3, \\infty)"
    assert as_interval("x > 3 or x < -2", union) == "(-\\infty,-2)\\cup (3,\\infty)"
    assert as_interval("x < -2 and x > 3", union) == "x < -2 and x > 3"
