"""Selection: H over the correct responses of an iteration, in an order fixed by question and place."""

from mstar.api.steps import Claim
from mstar.selection import select, soundness
from mstar.steps import SelectParams, SelectResult
from mstar.types import RolloutRow, ScoreRow
from mstar_coordinator.work.context import Context, Done, rows_of
from mstar_worker.lease import Progress


def run(claim: Claim, progress: Progress, context: Context) -> Done:
    """Output: the kept rows; may be none, which the trainer refuses with a message."""
    params = claim.step.params
    assert isinstance(params, SelectParams)
    rows = list(rows_of(context, claim, params.rows, RolloutRow))
    scores: list[ScoreRow | None] = [None] * len(rows)
    if params.scores:
        scores = list(rows_of(context, claim, params.scores, ScoreRow))
    seed = claim.recipe.seed
    kept = [
        select(row, score, params.rule, iteration=params.iteration, seed=seed)
        for row, score in zip(rows, scores, strict=True)
    ]
    sound = soundness(zip(rows, kept, strict=True), seed)
    correct = [sum(response.verdict.correct for response in row.responses) for row in rows]
    result = SelectResult(
        questions=len(rows),
        responses=sum(len(row.responses) for row in rows),
        correct=sum(correct),
        kept=sum(map(len, kept)),
        temperature=rows[0].temperature,
        weight_version=rows[0].weight_version,
        solved_questions=sum(count > 0 for count in correct),
        sound_among_kept=sound.kept,
        sound_among_random=sound.random,
        sound_at_best=sound.best,
    )
    flat = [row for of_question in kept for row in of_question]
    return context.store.write_rows(claim.output_id, flat, {"rule": params.rule.model_dump(mode="json")}), result
