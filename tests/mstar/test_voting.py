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
from mstar.voting import vote_accuracy, voted

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


def known(answers: Sequence[str | None], right: str) -> RolloutRow:
    """A labelled question with verdicts by the right answer."""
    one = row(answers)
    checked = tuple(
        each.model_copy(update={"verdict": Verdict(correct=answer == right)})
        for each, answer in zip(one.responses, answers, strict=True)
    )
    return one.model_copy(update={"question": question(), "responses": checked})


def test_vote_accuracy_counts_questions_whose_winning_answer_is_right() -> None:
    rows = [known(["42", "42", "7"], "42"), known(["42", "7", "7"], "42"), known(["7", "7"], "42")]
    assert vote_accuracy(rows, None, DEFAULT_RULE, AnswerPlace.HEADING, 0) == 1 / 3
    # Scores of the third are left out, as nothing hangs on them.
    weights = [scores([0.1, 0.1, 0.9]), scores([0.9, 0.1, 0.1]), scores([])]
    assert vote_accuracy(rows, weights, DEFAULT_RULE, AnswerPlace.HEADING, 0) == 1 / 3


def test_a_vote_in_which_no_response_has_an_answer_is_lost() -> None:
    rows = [known(["42", None], "42")]
    rows[0] = rows[0].model_copy(
        update={
            "responses": tuple(
                each.model_copy(update={"response": each.response.model_copy(update={"text": "hm"})})
                for each in rows[0].responses
            )
        }
    )
    assert vote_accuracy(rows, None, DEFAULT_RULE, AnswerPlace.HEADING, 0) == 0.0
