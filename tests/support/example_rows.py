"""Short ways to write questions, rollout rows and score rows in tests of the pure rules."""

from collections.abc import Sequence

from mstar.types import (
    Answer,
    AnswerType,
    CheckedResponse,
    Question,
    Response,
    RolloutRow,
    ScoreRow,
    StepScores,
    Verdict,
)


def question(name: str = "q1", *, group: str = "FQA", gold_steps: Sequence[str] = ()) -> Question:
    answer = Answer(type=AnswerType.INTEGER, value="42")
    return Question(
        id=name, text="How many?", images=("0" * 64,), answer=answer, group=group, gold_steps=tuple(gold_steps)
    )


def rollout(
    correct: Sequence[bool],
    *,
    texts: Sequence[str] = (),
    name: str = "q1",
    group: str = "FQA",
    gold_steps: Sequence[str] = (),
    temperature: float = 1.0,
) -> RolloutRow:
    """One row whose responses are correct as listed, with distinct texts unless they are given."""
    texts = texts or [f"step {place}\n\n## Answer\n\n42" for place in range(len(correct))]
    responses = tuple(
        CheckedResponse(index=place, response=Response(text=text), verdict=Verdict(correct=right))
        for place, (right, text) in enumerate(zip(correct, texts, strict=True))
    )
    asked = question(name, group=group, gold_steps=gold_steps)
    return RolloutRow(question=asked, temperature=temperature, weight_version="v1", responses=responses)


def scored(row: RolloutRow, minima: Sequence[float | None]) -> ScoreRow:
    """Scores with the given minima; None leaves a response out."""
    responses = tuple(
        StepScores(index=place, steps=("a", "b"), scores=(1.0, low))
        for place, low in enumerate(minima)
        if low is not None
    )
    return ScoreRow(question_id=row.question.id, prm_version="p1", responses=responses)
