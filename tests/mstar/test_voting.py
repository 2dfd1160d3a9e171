"""Pseudo-answers: responses that say the same vote together, weighted by the PRM."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from example_rows import question
from mstar.answers import DEFAULT_RULE, AnswerPlace
from mstar.types import (
    AnswerType,
    CheckedResponse,
    FinishReason,
    Response,
    RolloutRow,
    ScoreRow,
    StepScores,
    Verdict,
)
from mstar.voting import voted

NONE = Verdict(correct=False, reason="no-reference-answer")


def row(answers: Sequence[str | None], *, cut: Sequence[int] = ()) -> RolloutRow:
    """An unlabelled question with a response for each answer; None states none."""
    texts = ["No answer here." if one is None else f"Step.\n\n## Answer\n\n{one}" for one in answers]
    ends = [FinishReason.LENGTH if place in cut else FinishReason.STOP for place in range(len(answers))]
    return RolloutRow(
        question=question().model_copy(update={"answer": None}),
        temperature=1.0,
        weight_version="v1",
        responses=tuple(
            CheckedResponse(index=place, response=Response(text=text, finish_reason=end), verdict=NONE)
            for place, (text, end) in enumerate(zip(texts, ends, strict=True))
        ),
    )


def scores(weights: Sequence[float]) -> ScoreRow:
    responses = tuple(StepScores(index=place, steps=("s",), scores=(one,)) for place, one in enumerate(weights))
    return ScoreRow(question_id=question().id, prm_version="p1", responses=responses)


def vote(one: RolloutRow, weights: Sequence[float] | None = None, seed: int = 0) -> tuple[str | None, list[bool]]:
    found = voted(one, None if weights is None else scores(weights), DEFAULT_RULE, AnswerPlace.HEADING, seed)
    answer = found.question.answer
    return None if answer is None else answer.value, [each.verdict.correct for each in found.responses]


def test_without_scores_the_majority_wins_and_equal_answers_vote_together() -> None:
    assert vote(row(["7", "7.0", "9", "seven"])) == ("7", [True, True, False, True])


def test_the_prm_can_outweigh_a_majority() -> None:
    assert vote(row(["7", "7", "9"]), [0.1, 0.2, 0.9]) == ("9", [False, False, True])


def test_responses_without_an_answer_or_cut_off_have_no_vote() -> None:
    assert vote(row([None, "9", "7", "7"], cut=(2, 3)), [0.9, 0.1, 0.9, 0.9]) == ("9", [False, True, False, False])
    assert vote(row([None, None])) == (None, [False, False])


def test_a_labelled_question_keeps_its_answer() -> None:
    labelled = row(["9"]).model_copy(update={"question": question()})
    assert voted(labelled, None, DEFAULT_RULE, AnswerPlace.HEADING, 0) is labelled


def test_the_pseudo_answer_has_the_type_that_it_looks_like() -> None:
    found = voted(row(["(B)", "B."]), None, DEFAULT_RULE, AnswerPlace.HEADING, 0)
    assert found.question.answer is not None and found.question.answer.type is AnswerType.CHOICE
    assert [one.verdict.correct for one in found.responses] == [True, True]


@given(st.lists(st.sampled_from(["1", "2", "3"]), min_size=1, max_size=9), st.integers(0, 5))
def test_the_winner_is_never_lighter_than_another_answer(answers: list[str], seed: int) -> None:
    value, correct = vote(row(answers), [0.5] * len(answers), seed)
    assert value is not None
    assert correct == [one == value for one in answers]
    assert answers.count(value) == max(answers.count(one) for one in answers)
    assert vote(row(answers), [0.5] * len(answers), seed) == (value, correct)
