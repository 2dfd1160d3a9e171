"""Applies a selection rule to rollout rows: R(y) = H(1[a = a*] x R_p(y)) of the paper.

Incorrect responses never pass, nor do those that are not a chain of steps. Correct ones that differ only in white space
count once, and one that was cut off at the token limit is left out, because training on it would teach an end that the
policy never wrote. Ties and draws follow the seed and the response's place. What this leaves out: the rules
(`selection_rules`), the answer check (`answers`) and the scores themselves.
"""

from collections.abc import Iterable, Sequence
from math import fsum

from mstar.answers.find import stated_answer
from mstar.answers.rule import AnswerPlace
from mstar.errors import InvalidRecipe
from mstar.metrics import MINIMUM, rewards_by_index
from mstar.needed_scores import distinct_correct
from mstar.reward import RewardRule
from mstar.seeds import derive
from mstar.selection_rules import Candidate, SelectionRecipe
from mstar.soundness import is_sound
from mstar.types import Frozen, RolloutRow, SampledTokens, ScoreRow, SelectedRow


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
    row: RolloutRow,
    scores: ScoreRow | None,
    recipe: SelectionRecipe,
    *,
    iteration: int,
    seed: int,
    rule: RewardRule = MINIMUM,
    place: AnswerPlace = AnswerPlace.HEADING,
) -> tuple[SelectedRow, ...]:
    """The responses of one question that are kept, in the order of their places: text in canonical layout, and tokens.

    `place`: where the prompt asks for the answer. Raises InvalidRecipe when the outcome hangs on a missing reward.
    """
    if recipe.rule.from_reference:
        return _reference(row, recipe, iteration, place)
    candidates = _candidates(row, scores, seed, recipe.min_steps, rule)
    _require_rewards(candidates, row, recipe)
    # Every rule sees the same seeded order, so random-k, ties of top-k and copies of a run agree.
    drawn = sorted(candidates, key=lambda candidate: candidate.draw)
    sampled = {checked.index: checked.response for checked in row.responses}
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
            reason=recipe.rule.reason(recipe, len(candidates)),
            tokens=SampledTokens.of(sampled[kept.index], row.vocabulary),
        )
        for kept in sorted(recipe.rule.choose(drawn, recipe), key=lambda kept: kept.index)
    )


def _reference(row: RolloutRow, recipe: SelectionRecipe, iteration: int, place: AnswerPlace) -> tuple[SelectedRow, ...]:
    """The reference answer as a response of its own; none for a question without one, or that no prompt can hold."""
    answer = row.question.answer
    if answer is None or row.problem:
        return ()
    return (
        SelectedRow(
            question=row.question,
            response=stated_answer(answer.value, place),
            iteration=iteration,
            index=0,
            temperature=row.temperature,
            weight_version=row.weight_version,
            reason=recipe.rule.reason(recipe, 0),
        ),
    )


def soundness(rows: Iterable[tuple[RolloutRow, Sequence[SelectedRow]]], seed: int, min_steps: int = 0) -> Soundness:
    """How sound the choice was, over all questions with a known chain; `min_steps` is that of the selection."""
    judged = kept_sound = best = 0
    random: list[float] = []
    for row, kept in rows:
        # Nothing was chosen where nothing is kept, so the question says nothing about the choice.
        if not row.question.gold_steps or not kept:
            continue
        candidates = _candidates(row, None, seed, min_steps, MINIMUM)
        sound = {candidate.index for candidate in candidates if candidate.sound}
        judged += len(kept)
        kept_sound += sum(one.index in sound for one in kept)
        # The mean of a hypergeometric draw: as many from the same candidates, without looking.
        random.append(len(kept) * len(sound) / len(candidates))
        best += min(len(sound), len(kept))
    return Soundness(judged=judged, kept=kept_sound, random=fsum(random), best=best)


def _candidates(
    row: RolloutRow, scores: ScoreRow | None, seed: int, min_steps: int, rule: RewardRule
) -> list[Candidate]:
    rewards = rewards_by_index(row, scores, rule) if scores else {}
    steps = {scored.index: scored.scores for scored in scores.responses} if scores else {}
    gold = row.question.gold_steps
    return [
        Candidate(
            index=checked.index,
            text=text,
            reward=rewards.get(checked.index),
            step_scores=steps.get(checked.index, ()),
            draw=derive(seed, "select", row.question.id, checked.index),
            sound=bool(gold) and is_sound(text, gold, row.step_separator),
        )
        for text, checked in distinct_correct(row, min_steps).items()
    ]


def _require_rewards(candidates: Sequence[Candidate], row: RolloutRow, recipe: SelectionRecipe) -> None:
    # No score was asked for where the rule keeps all (`needed_for_selection`), so none can be missing there.
    unseen = recipe.scored_above()
    if not recipe.rule.needs_prm or (unseen is not None and len(candidates) <= unseen):
        return
    for candidate in candidates:
        if candidate.reward is None:
            raise InvalidRecipe(
                f"response {candidate.index} of question {row.question.id} is correct but has no score: "
                f"{recipe.mode.value} needs the PRM's scores of all correct responses",
                field="evolution.selection.mode",
            )
