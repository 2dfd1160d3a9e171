"""Degrees for radians, however a multiple of pi is written."""

import pytest

from mstar.answers.angles import same_turn

ANGLE = "Find the angle."


@pytest.mark.parametrize(
    ("gold", "said"),
    [
        (r"\frac{\pi}{3}", "60°"), (r"-\frac{2\pi}{3}", "-120°"), (r"\frac{2}{3}\pi", "120 degrees"), ("2π/3", "120°"),
        (r"\pi", "180°"), (r"\dfrac{\pi}{8}", "22.5°"), (r"2\pi", r"360^\circ"),
    ],
)  # fmt: skip
def test_degrees_are_the_multiple_of_pi(gold: str, said: str) -> None:
    assert same_turn(said, gold, ANGLE)


@pytest.mark.parametrize(
    ("gold", "said", "question"),
    [
        (r"\frac{\pi}{3}", "30°", ANGLE), (r"\frac{\pi}{3}", "60", ANGLE),
        (r"\frac{\pi}{3}", "60°", "What is the area?"),
        (r"\frac{\pi}{3}", "60°", "Find the angle in radians."), (r"\frac{\pi}{0}", "60°", ANGLE),
        (r"\pi + 1", "180°", ANGLE), (r"-\pi", "180°", ANGLE), (r"\frac{\pi}{7}", "25.714286°", ANGLE),
    ],
)  # fmt: skip
def test_others_are_not(gold: str, said: str, question: str) -> None:
    assert not same_turn(said, gold, question)
