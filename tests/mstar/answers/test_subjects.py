"""Sentences whose subject is another one than the question's."""

import pytest

from mstar.answers.subjects import has_another_subject

COAL = "What is the share of coal?"
PRESSURE = "What happens to the pressure when the temperature drops?"
JACKET = "What is the price of the jacket, if the shirt costs $20?"


@pytest.mark.parametrize(
    ("said", "question"),
    [
        ("The share of gas is 15%", COAL),
        ("The due date is 07/14/2015", "What is the invoice date?"),
        ("The value in 2014 was 1.8", "What was the market value in 2015, in billions?"),
        ("The temperature decreases", PRESSURE),
        ("The shirt costs $45", JACKET),
        ("The ratio of b to a is 2", "What is the ratio of a to b?"),
        ("The gross income was 3", "What was the net income?"),
    ],
)
def test_another_subject_is_found(said: str, question: str) -> None:
    assert has_another_subject(said, question)


@pytest.mark.parametrize(
    ("said", "question"),
    [
        ("The share of coal is 15%", COAL),
        ("The share of it is 15%", COAL),
        ("15%", COAL),
        ("The total date is 07/14/2015", "What is the invoice date?"),
        ("The pressure decreases", PRESSURE),
        ("It decreases", PRESSURE),
        ("The jacket costs $45", JACKET),
        ("The cost of the jacket is $45", JACKET),
        ("The ratio of a to b is 2", "What is the ratio of a to b?"),
        ("f(-2) = 3", "What is the function value at x = -2?"),
    ],
)
def test_the_questions_own_subject_is_none(said: str, question: str) -> None:
    assert not has_another_subject(said, question)
