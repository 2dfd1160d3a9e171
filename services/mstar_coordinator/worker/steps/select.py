"""Selection for one rollout shard: H over the correct responses, with the PRM's scores where the choice hangs on them.

A shard is chosen from as soon as it is sampled, for H looks at one question at a time (`mstar.selection`).
"""

import time
from collections.abc import Sequence

from mstar.api.steps import Claim
from mstar.recipes import SelectionMode
from mstar.scoring import ScoreUse, to_score
from mstar.selection import select, soundness
from mstar.steps import ArtefactRef, SelectParams, SelectResult
from mstar.types import RolloutRow, ScoreRow, SelectedRow
from mstar_artefacts.store import ROWS, SCORES
from mstar_coordinator.worker.context import Context, Done, artefact_of, rows_of
from mstar_coordinator.worker.steps.score import savings_of, score_rows
from mstar_worker.lease import Progress


def run(claim: Claim, progress: Progress, context: Context) -> Done:
    """Output: the kept rows, which may be none, and a score row for each rollout row where there is a PRM."""
    began = time.monotonic()
    params = claim.step.params
    assert isinstance(params, SelectParams)
    rows = list(rows_of(context, claim, (params.rows,), RolloutRow))
    # An attempt that died between artefact and commit is not repeated: what it chose is adopted.
    ref = context.store.adopt(claim.output_id) or _choose(claim, params, rows, progress, context)
    kept = list(context.store.rows(ref, SelectedRow))
    scores = list(context.store.rows(ref, ScoreRow, SCORES))
    return ref, _result(claim, params, rows, kept, scores, time.monotonic() - began)


def _choose(
    claim: Claim, params: SelectParams, rows: Sequence[RolloutRow], progress: Progress, context: Context
) -> ArtefactRef:
    rule, metadata = params.rule, {"rule": params.rule.model_dump(mode="json")}
    if params.prm is None:
        kept = [one for row in rows for one in _kept(claim, params, row, None)]
        return context.store.write_rows(claim.output_id, kept, metadata)
    k = rule.k if rule.mode is SelectionMode.TOP else None
    savings = savings_of(claim, on=params.savings)
    wanted = [(row, to_score(row, ScoreUse.SELECTION, k, savings)) for row in rows]
    scores = score_rows(context, artefact_of(claim, params.prm), wanted, progress)
    kept = [one for row, score in zip(rows, scores, strict=True) for one in _kept(claim, params, row, score)]
    return context.store.write_tables(claim.output_id, {ROWS: kept, SCORES: scores}, metadata)


def _kept(claim: Claim, params: SelectParams, row: RolloutRow, score: ScoreRow | None) -> tuple[SelectedRow, ...]:
    return select(row, score, params.rule, iteration=params.iteration, seed=claim.recipe.seed)


def _result(
    claim: Claim,
    params: SelectParams,
    rows: Sequence[RolloutRow],
    kept: Sequence[SelectedRow],
    scores: Sequence[ScoreRow],
    seconds: float,
) -> SelectResult:
    of_question: dict[str, list[SelectedRow]] = {row.question.id: [] for row in rows}
    for one in kept:
        of_question[one.question.id].append(one)
    correct = [sum(response.verdict.correct for response in row.responses) for row in rows]
    return SelectResult(
        questions=len(rows),
        responses=sum(len(row.responses) for row in rows),
        correct=sum(correct),
        scored=sum(len(score.responses) for score in scores),
        kept=len(kept),
        temperature=rows[0].temperature,
        weight_version=rows[0].weight_version,
        solved_questions=sum(count > 0 for count in correct),
        soundness=soundness(((row, of_question[row.question.id]) for row in rows), claim.recipe.seed),
        prm_version=artefact_of(claim, params.prm).version if params.prm else None,
        seconds=seconds,
    )
