"""The gates of the study's benchmark, on rows whose properties are known."""

import pytest
from benchmarks.gates import OUT, Gate, pairs, sampled

from mstar.cli.study_files import read_properties
from mstar.reward import Aggregate, RewardRule
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

GOLD = ("A is 3", "B is 7", "3 ^ 7 = 7")
SOUND = ("A is 3\n\nB is 7\n\n3 ^ 7 = 7", "B shows 7\n\nA shows 3\n\n3 ^ 7 gives 7")
SLIP = "A is 4\n\nB is 7\n\n4 ^ 7 = 7"
SHORT = "A is 3\n\nleave B"


def row(chains: list[tuple[str, str]]) -> RolloutRow:
    """A question whose answer is 7, with these chains and answers."""
    question = Question(
        id="q", text="?", images=("0" * 64,), answer=Answer(type=AnswerType.INTEGER, value="7"), gold_steps=GOLD
    )
    responses = tuple(
        CheckedResponse(
            index=place,
            response=Response(text=f"{chain}\n\n## Answer\n\n{answer}"),
            verdict=Verdict(correct=answer == "7", extracted=answer, reason=""),
        )
        for place, (chain, answer) in enumerate(chains)
    )
    return RolloutRow(question=question, temperature=1.0, weight_version="w", responses=responses)


def scored(values: list[list[float]]) -> ScoreRow:
    responses = tuple(
        StepScores(index=place, steps=tuple(f"step {n}" for n in range(len(one))), scores=tuple(one))
        for place, one in enumerate(values)
    )
    return ScoreRow(question_id="q", prm_version="p", responses=responses)


def test_shares_of_what_was_sampled() -> None:
    full = row([(SOUND[0], "7"), (SOUND[1], "7"), (SLIP, "7"), (SLIP, "5")])
    lucky = row([(SLIP, "7"), (SLIP, "5"), (SHORT, "3"), (SHORT, "3")])
    found = sampled([full, lucky])
    assert found == pytest.approx(
        {
            "sampled": 4 / 8,
            "sound pass": 1 / 2,
            "unsound among correct": 2 / 4,
            "wrong chain right": 2 / 6,
            "two sound texts": 1 / 2,
        }
    )


def test_each_sound_chain_is_compared_with_each_unsound_correct_one() -> None:
    rows = [row([(SOUND[0], "7"), (SLIP, "7"), (SHORT, "7"), (SLIP, "5"), (SLIP, "7")])]
    scores = [scored([[0.9, 0.5, 0.8], [0.9, 0.2, 0.8], [0.6, 0.7], [0.0], [1.0]])]
    # A repeated text counts once, and a wrong answer never.
    assert list(pairs(rows, scores, RewardRule())) == [("slip", 3, 1.0), ("left out", 2, 0.0)]
    assert list(pairs(rows, scores, RewardRule(aggregate=Aggregate.LAST))) == [("slip", 3, 0.5), ("left out", 2, 1.0)]


def test_a_gate_is_met_within_its_range_and_open_without_a_run() -> None:
    assert Gate("x", 0.25, 0.40, 0.3, 1).met is True
    assert Gate("x", 0.25, 0.40, 0.41, 1).met is False
    assert Gate("x", 0.75, 1.0, None, 0).met is None
    wanted = [Gate("x", low, high, 0.5, 1).wanted for low, high in ((0.25, 0.4), (0.75, 1.0), (-1.0, 0.4))]
    assert wanted == ["25% to 40%", "at least 75.0%", "at most 40.0%"]


def test_the_gates_that_were_measured_are_properties_of_a_study_s_report() -> None:
    found = read_properties(OUT)
    assert len(found) == 5 and all(one.name.startswith("gate: ") and one.met for one in found)
    assert [round(one.value or 0.0, 1) for one in found] == [36.6, 54.4, 52.0, 35.9, 80.5]
