"""Which responses the PRM must score before an outcome is known; the others need no score and cost nothing.

The savings are exact, and a recipe can switch each off (`prm.savings`). Selection ranks correct responses only, and
where no more of them are left than it keeps, it keeps them all whatever their scores. A question's part in Pass@K among
the K best-ranked is 0 when none of its n responses is correct, and 1 when at most K - 1 are wrong.
"""

from mstar.layout import join_segments, scored_segments
from mstar.reward import is_chain
from mstar.types import CheckedResponse, FinishReason, Frozen, RolloutRow


class Savings(Frozen):
    """What no score is asked for."""

    wrong: bool = True
    """In a selection, skip responses that it cannot keep, and those that only repeat another."""
    uncontested: bool = True
    """In a selection, skip questions with no more correct responses than it keeps."""
    decided: bool = True
    """In a ranking, skip questions that contribute the same to the metric in any order."""


NO_SAVINGS = Savings(wrong=False, uncontested=False, decided=False)


def needed_for_selection(
    row: RolloutRow, k: int | None, savings: Savings, min_steps: int = 0
) -> tuple[CheckedResponse, ...]:
    """The responses of one question that a selection needs scores of.

    `k`: how many it keeps, None for any number. `min_steps`: steps that a response must have to be kept.
    """
    candidates = tuple(distinct_correct(row, min_steps).values())
    # A threshold has no k: even a lone candidate may lie below it.
    if savings.uncontested and k is not None and len(candidates) <= k:
        return ()
    return candidates if savings.wrong else row.responses


def needed_for_ranking(row: RolloutRow, k: int, savings: Savings) -> tuple[CheckedResponse, ...]:
    """The responses of one question that a ranking needs scores of; `k`: the least K that it is cut at."""
    return () if savings.decided and decided(row, k) is not None else row.responses


def decided(row: RolloutRow, k: int) -> float | None:
    """1.0 or 0.0 where any ranking has, or has not, a correct response among its first k; else None."""
    correct = sum(response.verdict.correct for response in row.responses)
    if correct == 0:
        return 0.0
    # With at most k - 1 wrong ones, k places cannot be filled without a correct one.
    return 1.0 if correct > len(row.responses) - k else None


def distinct_correct(row: RolloutRow, min_steps: int = 0) -> dict[str, CheckedResponse]:
    """Canonical text → the first correct response with it.

    One that was cut off at the token limit is none, nor is one with fewer than `min_steps` steps.
    """
    found: dict[str, CheckedResponse] = {}
    for checked in row.responses:
        if checked.verdict.correct and checked.response.finish_reason is not FinishReason.LENGTH:
            if not is_chain(checked, min_steps, row.step_separator):
                continue
            segments = scored_segments(checked.response.text, row.step_separator)
            # The first by place, so that which copy trains does not depend on the order in which scores arrive.
            found.setdefault(join_segments(segments, row.step_separator), checked)
    return found
