"""Step scores for the responses of one rollout shard."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from mstar.api.images import ImageInput
from mstar.api.prm import Candidate, ScoreRequest
from mstar.api.steps import Claim
from mstar.steps import ArtefactRef, ScoreParams, ScoreResult
from mstar.types import CheckedResponse, RolloutRow, ScoreRow, StepScores
from mstar_coordinator.work.context import Context, Done, artefact_of, rows_of
from mstar_worker.lease import Progress

IN_FLIGHT = 16
"""Questions that the PRM holds at once, so that it can batch them."""


def run(claim: Claim, progress: Progress, context: Context) -> Done:
    """Output: a row for each rollout row, in its order; responses that need no score are left out of it."""
    began = time.monotonic()
    params = claim.step.params
    assert isinstance(params, ScoreParams)
    prm = artefact_of(claim, params.prm)
    rows = list(rows_of(context, claim, (params.rows,), RolloutRow))
    wanted = [_wanted(row, params.only_correct) for row in rows]
    scored: list[ScoreRow] = []
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for row in _scored(pool, context, prm, rows, wanted):
            scored.append(row)
            progress(len(scored), len(rows))
    result = ScoreResult(
        responses=sum(len(row.responses) for row in rows),
        scored=sum(map(len, wanted)),
        prm_version=prm.version,
        seconds=time.monotonic() - began,
    )
    return context.store.write_rows(claim.output_id, scored, {"prm_version": prm.version}), result


def _wanted(row: RolloutRow, only_correct: bool) -> list[CheckedResponse]:
    """An empty response has no step and scores 0 without being asked about."""
    return [r for r in row.responses if r.response.text.strip() and (r.verdict.correct or not only_correct)]


def _scored(
    pool: ThreadPoolExecutor,
    context: Context,
    prm: ArtefactRef,
    rows: list[RolloutRow],
    wanted: list[list[CheckedResponse]],
) -> Iterator[ScoreRow]:
    def ask(pair: tuple[RolloutRow, list[CheckedResponse]]) -> ScoreRow:
        row, responses = pair
        scores = _ask(context, prm, row, responses) if responses else ()
        asked = {response.index for response in responses}
        empty = tuple(
            StepScores(index=r.index, steps=(), scores=())
            for r in row.responses
            if r.index not in asked and not r.response.text.strip()
        )
        ordered = tuple(sorted((*scores, *empty), key=lambda score: score.index))
        return ScoreRow(question_id=row.question.id, prm_version=prm.version, responses=ordered)

    return pool.map(ask, zip(rows, wanted, strict=True))


def _ask(
    context: Context, prm: ArtefactRef, row: RolloutRow, responses: list[CheckedResponse]
) -> tuple[StepScores, ...]:
    request = ScoreRequest(
        question=row.question.text,
        image=ImageInput(sha256=row.question.image),
        responses=tuple(Candidate(text=response.response.text) for response in responses),
    )
    reply = context.prm.score(request, prm)
    return tuple(
        StepScores(
            index=response.index,
            steps=tuple(step.text for step in result.steps),
            scores=tuple(step.score for step in result.steps),
        )
        for response, result in zip(responses, reply.results, strict=True)
    )
