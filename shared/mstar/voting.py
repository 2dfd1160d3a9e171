"""Pseudo-answers for questions without a reference answer: the responses vote, weighted by the PRM (paper, table 3).

Responses that give the same answer, by the answer check, vote together; each weighs its R_p, or 1 without a PRM. The
winning answer then stands for the reference answer, for this one shard only: nothing else ever sees it as one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mstar.answers import AnswerPlace, AnswerRule, answer_of, check
from mstar.answers.find import find_answer
from mstar.answers.marks import bare, first_answer
from mstar.errors import InvalidDataset
from mstar.metrics import MINIMUM, mean, rewards_by_index
from mstar.needed_scores import decided
from mstar.reward import RewardRule
from mstar.seeds import derive
from mstar.types import Answer, AnswerType, CheckedResponse, FinishReason, RolloutRow, ScoreRow, Verdict

PSEUDO = "pseudo-answer"
_LONGEST = 4096


@dataclass
class _Ballot:
    """Responses with one answer."""

    answer: Answer
    weight: float = 0.0
    indices: set[int] = field(default_factory=set)


def voted(
    row: RolloutRow,
    scores: ScoreRow | None,
    rule: AnswerRule,
    place: AnswerPlace,
    seed: int,
    reward: RewardRule = MINIMUM,
) -> RolloutRow:
    """The row with its pseudo-answer as the reference, and verdicts by it.

    A labelled question stays as it is, and so does one whose responses state no answer. Equal weights are settled by
    the seed. Raises RuntimeError when a `math` answer is compared outside a main thread.
    """
    if row.question.answer is not None:
        return row
    winner = _winner(row, scores, rule, place, seed, reward)
    if winner is None:
        return row
    # Verdicts by the vote replace those of the check, which had no reference to compare with.
    responses = tuple(
        checked.model_copy(
            update={"verdict": Verdict(correct=checked.index in winner.indices, extracted=said, reason=PSEUDO)}
        )
        for checked in row.responses
        for said in (_said(checked, place),)
    )
    question = row.question.model_copy(update={"answer": winner.answer})
    return row.model_copy(update={"question": question, "responses": responses})


def vote_accuracy(
    rows: Sequence[RolloutRow],
    scores: Sequence[ScoreRow] | None,
    rule: AnswerRule,
    place: AnswerPlace,
    seed: int,
    reward: RewardRule = MINIMUM,
) -> float:
    """Share of labelled questions whose winning answer is right; a majority vote where `scores` is None.

    In the paper (section 5) both votes lie above best-of-n. A vote is asked for only where right and wrong responses
    stand against each other, so scores that were left out for the others are not missed. Raises InvalidInput without
    rows, and RuntimeError as `voted` does.
    """
    beside = [None] * len(rows) if scores is None else scores
    return mean([_vote_right(row, score, rule, place, seed, reward) for row, score in zip(rows, beside, strict=True)])


def _vote_right(
    row: RolloutRow, score: ScoreRow | None, rule: AnswerRule, place: AnswerPlace, seed: int, reward: RewardRule
) -> float:
    known = decided(row, 1)
    if known is not None:
        return known
    winner = _winner(row, score, rule, place, seed, reward)
    # The first of those that vote together gave the ballot its answer.
    return float(winner is not None and row.responses[min(winner.indices)].verdict.correct)


def _winner(
    row: RolloutRow, scores: ScoreRow | None, rule: AnswerRule, place: AnswerPlace, seed: int, reward: RewardRule
) -> _Ballot | None:
    # No scores at all: none was needed, or there is no PRM; then each response counts 1.
    weights = rewards_by_index(row, scores, reward) if scores is not None and scores.responses else None
    ballots = _ballots(row, weights, rule, place)
    return max(
        ballots,
        key=lambda one: (one.weight, derive(seed, "vote", row.question.id, one.answer.value)),
        default=None,
    )


def _ballots(
    row: RolloutRow, weights: Mapping[int, float] | None, rule: AnswerRule, place: AnswerPlace
) -> list[_Ballot]:
    ballots: list[_Ballot] = []
    # Most responses repeat an answer letter by letter, and the answer check costs a thousand times a look-up.
    known: dict[str, _Ballot] = {}
    for checked in row.responses:
        said = _said(checked, place)
        if said is None:
            # Silence is not an answer that could win.
            continue
        ballot = known.get(said)
        if ballot is None:
            # By the answer check and not by text: 7 and 7.0 are one answer. The first to say it stands for all.
            text = checked.response.text
            ballot = next((one for one in ballots if check(text, one.answer, rule, place).correct), None)
        if ballot is None:
            ballot = _Ballot(_answer(said))
            ballots.append(ballot)
        known[said] = ballot
        ballot.indices.add(checked.index)
        # Summed, not averaged: many middling chains may outweigh a single one that scores high (paper, table 3).
        ballot.weight += 1.0 if weights is None else weights.get(checked.index, 0.0)
    return ballots


def _said(checked: CheckedResponse, place: AnswerPlace) -> str | None:
    """The answer of a response that was not cut off."""
    # What stands in the answer's place of a response that was cut off may be half a number.
    if checked.response.finish_reason is FinishReason.LENGTH:
        return None
    said = find_answer(checked.response.text, place)
    text = bare(first_answer(said)) if said else ""
    return text if 0 < len(text) <= _LONGEST else None


def _answer(said: str) -> Answer:
    """With the type that it looks like; text where the guess does not fit."""
    try:
        return answer_of({"answer": said})
    except InvalidDataset:
        return Answer(type=AnswerType.TEXT, value=said)
