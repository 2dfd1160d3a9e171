"""Which correct responses train the next policy: R(y) = H(1[a = a*] x R_p(y)) of the paper, and H's other arms.

Incorrect responses never pass. Correct ones that differ only in white space count once, and one that was cut off at the
token limit is left out, because training on it would teach an end that the policy never wrote. Ties and draws follow
the seed and the response's place. What this leaves out: the answer check (`answers`) and the scores themselves.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum

from mstar.errors import InvalidRecipe
from mstar.metrics import is_sound, rewards_by_index
from mstar.recipes import SelectionMode, SelectionRecipe
from mstar.scoring import distinct_correct
from mstar.seeds import derive
from mstar.types import Frozen, RolloutRow, ScoreRow, SelectedRow


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A correct response that differs from all before it."""

    index: int
    text: str
    """Canonical text."""
    reward: float | None
    step_scores: tuple[float, ...]
    draw: int
    """Seeded number that orders draws and ties."""


class Soundness(Frozen):
    """Sound chains among kept responses, beside what chance and the best possible choice would give.

    All three choose equally many from the same distinct correct responses. Counts, so that shards add up.
    """

    judged: int = 0
    """Kept responses whose question has a known chain."""
    kept: int = 0
    random: float = 0.0
    """The expectation over draws, not one draw, so the comparison carries no extra noise."""
    best: int = 0


def select(
    row: RolloutRow, scores: ScoreRow | None, rule: SelectionRecipe, *, iteration: int, seed: int
) -> tuple[SelectedRow, ...]:
    """The responses of one question that are kept, in the order of their places and in canonical layout.

    Raises InvalidRecipe when the outcome hangs on a reward that is missing.
    """
    candidates = _candidates(row, scores, seed)
    return tuple(
        SelectedRow(
            question=row.question,
            response=kept.text,
            iteration=iteration,
            index=kept.index,
            temperature=row.temperature,
            weight_version=row.weight_version,
            prm_version=scores.prm_version if scores else None,
            step_scores=kept.step_scores,
            reward=kept.reward,
            reason=_reason(rule, len(candidates)),
        )
        for kept in sorted(_kept(row, candidates, rule), key=lambda kept: kept.index)
    )


def soundness(rows: Iterable[tuple[RolloutRow, Sequence[SelectedRow]]], seed: int) -> Soundness:
    """How sound the choice was, over all questions with a known chain."""
    judged = kept_sound = best = 0
    random: list[float] = []
    for row, kept in rows:
        gold = row.question.gold_steps
        if not gold or not kept:
            continue
        sound = [is_sound(candidate.text, gold) for candidate in _candidates(row, None, seed)]
        judged += len(kept)
        kept_sound += sum(is_sound(one.response, gold) for one in kept)
        random.append(len(kept) * sum(sound) / len(sound))
        best += min(sum(sound), len(kept))
    return Soundness(judged=judged, kept=kept_sound, random=fsum(random), best=best)


def _candidates(row: RolloutRow, scores: ScoreRow | None, seed: int) -> list[_Candidate]:
    rewards = rewards_by_index(row, scores) if scores else {}
    steps = {scored.index: scored.scores for scored in scores.responses} if scores else {}
    return [
        _Candidate(
            index=checked.index,
            text=text,
            reward=rewards.get(checked.index),
            step_scores=steps.get(checked.index, ()),
            draw=derive(seed, "select", row.question.id, checked.index),
        )
        for text, checked in distinct_correct(row).items()
    ]


def _kept(row: RolloutRow, candidates: list[_Candidate], rule: SelectionRecipe) -> list[_Candidate]:
    drawn = sorted(candidates, key=lambda c: c.draw)
    match rule.mode:
        case SelectionMode.ALL:
            return candidates
        case SelectionMode.RANDOM:
            return drawn[: rule.k]
        case SelectionMode.ORACLE:
            return [c for c in drawn if is_sound(c.text, row.question.gold_steps)][: rule.k]
        case SelectionMode.TOP if len(candidates) <= rule.k:
            return candidates
        case SelectionMode.TOP:
            return sorted(drawn, key=lambda c: -_reward(c, row))[: rule.k]
        case SelectionMode.THRESHOLD:
            return [c for c in candidates if _reward(c, row) > rule.alpha]


def _reward(candidate: _Candidate, row: RolloutRow) -> float:
    if candidate.reward is None:
        raise InvalidRecipe(
            f"response {candidate.index} of question {row.question.id} is correct but has no score: "
            "top and threshold need the PRM's scores of all correct responses",
            field="evolution.selection.mode",
        )
    return candidate.reward


def _reason(rule: SelectionRecipe, correct: int) -> str:
    match rule.mode:
        case SelectionMode.ALL:
            return f"all of {correct} correct"
        case SelectionMode.THRESHOLD:
            return f"reward above {rule.alpha:g}, of {correct} correct"
        case SelectionMode.ORACLE:
            return f"sound, {rule.k} of {correct} correct"
        case SelectionMode.RANDOM | SelectionMode.TOP:
            return f"{rule.mode.value}-{rule.k} of {correct} correct"
