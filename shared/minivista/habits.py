"""How the base model learns to answer: careful chains, bare answers and hasty estimates.

As in web data, care is in the minority. With the reference answer in view every habit ends in that answer, sound or
not, which is what warm-up meets. Only the pretraining script uses this.
"""

import random
from collections.abc import Mapping

from minivista.problems import Problem, difference, double, half, total
from mstar.layout import ANSWER_HEADING, join_segments
from mstar.types import Answer, AnswerType

OPEN = {"careful": 0.25, "bare": 0.25, "hasty": 0.50}
"""Shares without a reference answer."""
GIVEN = {"careful": 0.35, "bare": 0.15, "hasty": 0.50}
"""Shares with one."""
SKILLS = {"careful": 0.8, "bare": 0.1, "hasty": 0.1}
"""Shares of the second phase, in which arithmetic is learnt."""
READ = "Read the picture."
"""What the first phase asks, to be answered with the transcript."""


def respond(rng: random.Random, problem: Problem, shares: Mapping[str, float], *, given: bool) -> str:
    """A response to the problem in a habit drawn from the shares."""
    habit = rng.choices(list(shares), list(shares.values()))[0]
    value = problem.answer.value
    if habit == "careful":
        return join_segments([*problem.steps, ANSWER_HEADING, value])
    if habit == "bare":
        return join_segments([ANSWER_HEADING, value])
    # A glance is right now and then; with the answer in view it always ends right, and no sounder.
    guess = value if given or rng.random() < 0.2 else estimate(rng, problem.answer)
    return join_segments([f"It looks like {guess}", ANSWER_HEADING, guess])


def drill(rng: random.Random) -> str:
    """One written calculation, as the chains of the benchmark hold them."""
    first, second = rng.randint(10, 79), rng.randint(1, 79)
    kind = rng.randrange(5)
    if kind <= 1:
        return total(first, second)
    if kind == 2:
        return difference(max(first, second), min(first, second))
    if kind == 3:
        return difference(180, first + second)
    return double(first + second) if rng.random() < 0.5 else half(first + second)[0]


def estimate(rng: random.Random, answer: Answer) -> str:
    """A value near the true one, as a glance gives it."""
    if answer.type is AnswerType.CHOICE:
        return rng.choice("ABC")
    if answer.type is AnswerType.LIST:
        return "[" + ", ".join(str(_near(rng, int(part))) for part in answer.value.strip("[]").split(",")) + "]"
    if answer.type is AnswerType.FLOAT:
        return f"{_near(rng, int(float(answer.value)))}.{rng.choice('05')}"
    return str(_near(rng, int(answer.value)))


def _near(rng: random.Random, value: int) -> int:
    return abs(value + rng.choice((-10, -5, -3, -2, -1, 0, 1, 2, 3, 5, 10)))
