"""Selection for one rollout shard: H over the correct responses, with the PRM's scores where they decide.

A shard is chosen from as soon as it is sampled, for H looks at one question at a time (`mstar.selection`).
"""

import time
from collections.abc import Sequence

from mstar.needed_scores import needed_for_selection
from mstar.outcomes import outcomes_of
from mstar.ranking_quality import ranking_quality
from mstar.selection import select, soundness
from mstar.stages.select import SelectParams, SelectResult
from mstar.steps import ArtefactRef
from mstar.types import RolloutRow, ScoreRow, SelectedRow
from mstar.voting import PSEUDO, voted
from mstar_artefacts.store import ROWS, SCORES
from mstar_coordinator.worker.context import ClaimedStep, Output
from mstar_coordinator.worker.steps.score import NAMED, refused_by_prm, savings_of, score_rows


def run(step: ClaimedStep[SelectParams]) -> Output[SelectResult]:
    """Output: the kept rows, which may be none, and a score row for each rollout row where there is a PRM."""
    began = time.monotonic()
    store = step.use.store
    rows = list(step.rows((step.params.rows,), RolloutRow))
    # An attempt that died between artefact and commit is not repeated: what it chose is adopted.
    ref = store.adopt(step.claim.output_id) or _choose(step, rows)
    result = _result(step, rows, list(store.rows(ref, SelectedRow)), list(store.rows(ref, ScoreRow, SCORES)))
    return ref, result.model_copy(update={"seconds": time.monotonic() - began})


def _choose(step: ClaimedStep[SelectParams], rows: Sequence[RolloutRow]) -> ArtefactRef:
    recipe, output_id = step.params.rule, step.claim.output_id
    metadata = {"rule": recipe.model_dump(mode="json")}
    if step.params.prm is None:
        kept = [one for row in rows for one in _kept(step, row, None)]
        return step.use.store.write_rows(output_id, kept, metadata)
    k, savings = recipe.scored_above(), savings_of(step.recipe)
    # Every response votes, so every one needs its weight.
    wanted = [
        (row, row.responses if _votes(step, row) else needed_for_selection(row, k, savings, recipe.min_steps))
        for row in rows
    ]
    scores = score_rows(step, step.artefact(step.params.prm), wanted)
    kept = [one for row, score in zip(rows, scores, strict=True) for one in _kept(step, row, score)]
    return step.use.store.write_tables(output_id, {ROWS: kept, SCORES: scores}, metadata)


def _votes(step: ClaimedStep[SelectParams], row: RolloutRow) -> bool:
    return step.params.votes and row.question.answer is None


def _kept(step: ClaimedStep[SelectParams], row: RolloutRow, score: ScoreRow | None) -> tuple[SelectedRow, ...]:
    seed, recipe = step.recipe.seed, step.recipe
    decided = row
    if _votes(step, row):
        decided = voted(row, score, recipe.answers, recipe.form.answer, seed, recipe.reward_rule)
    kept = select(
        decided,
        score,
        step.params.rule,
        iteration=step.params.iteration,
        seed=seed,
        rule=recipe.reward_rule,
        place=recipe.form.answer,
    )
    if decided is row:
        return kept
    return tuple(one.model_copy(update={"reason": f"{one.reason}, by {PSEUDO}"}) for one in kept)


def _result(
    step: ClaimedStep[SelectParams],
    rows: Sequence[RolloutRow],
    kept: Sequence[SelectedRow],
    scores: Sequence[ScoreRow],
) -> SelectResult:
    of_question: dict[str, list[SelectedRow]] = {row.question.id: [] for row in rows}
    for one in kept:
        of_question[one.question.id].append(one)
    # A reference answer has no steps that could be sound.
    judged = () if step.params.rule.rule.from_reference else ((row, of_question[row.question.id]) for row in rows)
    shown = soundness(judged, step.recipe.seed, step.params.rule.min_steps)
    refused = refused_by_prm(rows, scores) if scores else []
    correct = [sum(response.verdict.correct for response in row.responses) for row in rows]
    return SelectResult(
        questions=len(rows),
        responses=sum(len(row.responses) for row in rows),
        correct=sum(correct),
        unlabelled=sum(len(row.responses) for row in rows if row.question.answer is None),
        scored=sum(len(score.responses) for score in scores) - len(refused),
        refused=len(refused),
        refused_of=tuple(dict.fromkeys(refused))[:NAMED],
        kept=len(kept),
        # No row is left where all questions of the shard are in quarantine.
        temperature=rows[0].temperature if rows else 0.0,
        weight_version=rows[0].weight_version if rows else "",
        solved_questions=sum(count > 0 for count in correct),
        soundness=shown,
        ranking=ranking_quality(
            zip(rows, scores, strict=True) if scores else (),
            step.recipe.reward_rule,
            step.params.rule.min_steps,
        ),
        prm_version=step.artefact(step.params.prm).version if step.params.prm else None,
        seconds=0.0,
        outcomes=outcomes_of(rows),
    )
