"""From step scores to the reward of a response, R_p, and what counts as a step of a chain.

The paper (section 3) takes the minimum over the scores of the steps s0 … sm; the final answer is not a step there. That
a paragraph which only states the answer is none either, and every aggregate but `min`, is ours. What this leaves out:
the scores themselves, and what is done with a reward (`selection`, `metrics`).
"""

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from math import fsum, prod

from mstar.layout import STEP_SEPARATOR, is_answer_block, scored_segments
from mstar.types import CheckedResponse, Frozen, StepScores

_DRESS = re.compile(r"\\boxed|[\s*_$(){}.]+")
"""What may stand around a bare answer without adding to it."""


class Aggregate(StrEnum):
    """How the scores of a response's steps become one number."""

    MIN = "min"
    """The least, as in the paper."""
    MEAN = "mean"
    PRODUCT = "product"
    """The chance that all steps are right, were they independent. Falls with every step."""
    LAST = "last"
    """The last step's: what is thought of the whole chain."""
    LENGTH_MIN = "length_min"
    """The least, corrected for the number of steps: the chance that the least of this many random scores is below
    it."""


class RewardRule(Frozen):
    """How R_p is made of step scores."""

    aggregate: Aggregate = Aggregate.MIN
    answer_block: bool = False
    """Whether the answer's own score counts as well. Its label is one draw, right or wrong, and no step's."""


def reward(scores: StepScores, answer: str | None, rule: RewardRule) -> float:
    """R_p in [0, 1]; 0 for a response without a step.

    `answer`: the bare answer that was found in the response; None where it is not known.
    """
    return aggregated(scores.steps, scores.scores, answer, rule)


def aggregated(steps: Sequence[str], scores: Sequence[float], answer: str | None, rule: RewardRule) -> float:
    """The same from steps and their scores, [steps] each."""
    counted = [
        score
        for step, score in zip(steps, scores, strict=True)
        if rule.answer_block or not states_answer_only(step, answer)
    ]
    # Without a step there is nothing that the PRM was trained to judge, so such a response ranks last.
    return _AGGREGATES[rule.aggregate](counted) if counted else 0.0


def is_chain(checked: CheckedResponse, min_steps: int, separator: str = STEP_SEPARATOR) -> bool:
    """Whether a response has at least this many steps that say more than its answer."""
    answer = checked.verdict.extracted
    segments = scored_segments(checked.response.text, separator)
    return sum(not states_answer_only(one, answer) for one in segments) >= min_steps


def states_answer_only(segment: str, answer: str | None) -> bool:
    """Whether a segment is the answer block, or a paragraph with nothing but the answer."""
    # `**61**` on a line of its own repeats the answer, with or without a heading below it.
    return is_answer_block(segment) or (answer is not None and _bare(segment) == _bare(answer))


def _bare(text: str) -> str:
    return _DRESS.sub("", text).casefold()


def _length_min(scores: Sequence[float]) -> float:
    # For m independent scores, uniform on [0, 1], P(min <= x) = 1 - (1 - x)^m. With one step it is the score itself.
    return 1.0 - (1.0 - min(scores)) ** len(scores)


_AGGREGATES: dict[Aggregate, Callable[[Sequence[float]], float]] = {
    Aggregate.MIN: min,
    # Exactly rounded, so that the order of the steps cannot decide a tie.
    Aggregate.MEAN: lambda scores: fsum(scores) / len(scores),
    Aggregate.PRODUCT: prod,
    Aggregate.LAST: lambda scores: scores[-1],
    Aggregate.LENGTH_MIN: _length_min,
}
