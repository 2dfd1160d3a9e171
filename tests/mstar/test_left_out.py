"""Every response that a selection passes over has a reason, and it is the one that decided."""

from example_rows import rollout
from mstar.left_out import reasons_left_out
from mstar.selection_rules import SelectionMode, SelectionRecipe
from mstar.types import FinishReason

CHAIN = "We count them .\n\nThere are six\n\n## Answer\n\n42"


def test_a_reason_for_each_way_to_be_passed_over() -> None:
    texts = [CHAIN, CHAIN, CHAIN + " ", "## Answer\n\n42", "So it is\n\n## Answer\n\n42", "We guess\n\n## Answer\n\n1"]
    row = rollout([True, True, True, True, True, False], texts=texts)
    cut = row.responses[4].model_copy(
        update={"response": row.responses[4].response.model_copy(update={"finish_reason": FinishReason.LENGTH})}
    )
    row = row.model_copy(update={"responses": (*row.responses[:4], cut, row.responses[5])})
    assert reasons_left_out(row, SelectionRecipe(mode=SelectionMode.RANDOM, k=2)) == {
        0: "not chosen: random-2 of 1 correct",
        1: "the same text as response 1",
        2: "the same text as response 1",
        3: "fewer than 1 steps",
        4: "cut off at the token limit",
        5: "wrong",
    }


def test_without_a_reference_answer_the_vote_decides() -> None:
    row = rollout([False])
    row = row.model_copy(update={"question": row.question.model_copy(update={"answer": None})})
    assert reasons_left_out(row, SelectionRecipe()) == {0: "no reference answer, and the vote did not choose it"}
