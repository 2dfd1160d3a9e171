"""Why a response was not kept for training, in words for people: the other side of `SelectedRow.reason`. Pure."""

from mstar.layout import join_segments, scored_segments
from mstar.needed_scores import distinct_correct
from mstar.reward import is_chain
from mstar.selection_rules import SelectionRecipe
from mstar.types import CheckedResponse, FinishReason, RolloutRow


def reasons_left_out(row: RolloutRow, rule: SelectionRecipe) -> dict[int, str]:
    """Place of a response among the n of its question → why the rule passed it over, if it did."""
    candidates = distinct_correct(row, rule.min_steps)
    first = {checked.index for checked in candidates.values()}
    passed_over = f"not chosen: {rule.rule.reason(rule, len(candidates))}"
    return {
        checked.index: passed_over if checked.index in first else _reason(row, checked, candidates, rule)
        for checked in row.responses
    }


def _reason(
    row: RolloutRow, checked: CheckedResponse, candidates: dict[str, CheckedResponse], rule: SelectionRecipe
) -> str:
    # First, since all verdicts of such a row but those for the vote's winner say wrong.
    if row.question.answer is None:
        return "no reference answer, and the vote did not choose it"
    if not checked.verdict.correct:
        return "wrong"
    if checked.response.finish_reason is FinishReason.LENGTH:
        return "cut off at the token limit"
    if not is_chain(checked, rule.min_steps, row.step_separator):
        return f"fewer than {rule.min_steps} steps"
    segments = scored_segments(checked.response.text, row.step_separator)
    same = candidates[join_segments(segments, row.step_separator)]
    return f"the same text as response {same.index + 1}"
