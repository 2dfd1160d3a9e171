"""Every group's problems: the sound chain leads to the answer, and habits answer in the layout."""

import operator
import random

import pytest

from minivista.habits import GIVEN, OPEN, drill, respond
from minivista.problems import FOREIGN, STANDARD, Style
from minivista.splits import GROUPS
from mstar.answers import check
from mstar.layout import ANSWER_HEADING, join_segments
from mstar.soundness import is_sound


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("style", [STANDARD, FOREIGN])
def test_the_careful_chain_is_correct_and_sound(group: str, style: Style) -> None:
    for seed in range(60):
        problem = GROUPS[group](random.Random(seed), style, "train")
        response = join_segments([*problem.steps, ANSWER_HEADING, problem.answer.value])
        assert check(response, problem.answer).correct, problem
        assert is_sound(response, problem.steps)


def test_arithmetic_in_steps_and_drills_is_right() -> None:
    steps = [drill(random.Random(seed)) for seed in range(200)]
    steps += [
        step
        for maker in GROUPS.values()
        for seed in range(60)
        for step in maker(random.Random(seed), STANDARD, "train").steps
    ]
    calculations = [step.split(": ")[1].split(" = ") for step in steps if "=" in step]
    assert len(calculations) > 300
    for calculation, result in calculations:
        first, sign, second = calculation.split()
        apply = {"+": operator.add, "-": operator.sub, "x": operator.mul, "/": operator.truediv}[sign]
        assert apply(int(first), int(second)) == float(result)


def test_with_the_reference_in_view_every_habit_ends_in_it() -> None:
    rng = random.Random(1)
    for seed in range(100):
        problem = GROUPS["TQA"](rng, STANDARD, "train")
        assert check(respond(random.Random(seed), problem, GIVEN, given=True), problem.answer).correct


def test_without_it_haste_is_mostly_wrong_and_never_sound() -> None:
    rng = random.Random(1)
    verdicts, sound = [], []
    for seed in range(300):
        problem = GROUPS["GPS"](rng, STANDARD, "train")
        response = respond(random.Random(seed), problem, {"hasty": 1.0}, given=False)
        verdicts.append(check(response, problem.answer).correct)
        sound.append(is_sound(response, problem.steps))
    assert 0.1 < sum(verdicts) / 300 < 0.4
    assert not any(sound)
    assert sum(OPEN.values()) == pytest.approx(1.0)
