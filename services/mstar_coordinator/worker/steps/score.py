"""Step scores for the responses of one rollout shard.

Exact savings: rows of one question (a sweep has one for each temperature) are asked about together, so that the PRM
computes image and question once, equal texts are scored once, and what cannot change an outcome is left out
(`mstar.scoring`).
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

from mstar.api.images import ImageInput
from mstar.api.prm import Candidate, ScoredStep, ScoreRequest
from mstar.api.steps import Claim
from mstar.scoring import NO_SAVINGS, Savings, to_score
from mstar.steps import ArtefactRef, ScoreParams, ScoreResult
from mstar.types import CheckedResponse, Question, RolloutRow, ScoreRow, StepScores
from mstar_coordinator.worker.context import Context, Done, artefact_of, rows_of, write_once
from mstar_worker.lease import Progress

IN_FLIGHT = 16
"""Requests that the PRM holds at once, so that it can batch them."""
TEXTS_PER_REQUEST = 256
"""The most that the score route takes."""


Wanted = tuple[RolloutRow, tuple[CheckedResponse, ...]]
"""A rollout row with those of its responses that need a score."""


@dataclass(frozen=True)
class _Ask:
    """Distinct texts of one question."""

    question: Question
    texts: tuple[str, ...]


def run(claim: Claim, progress: Progress, context: Context) -> Done:
    """Output: a row for each rollout row, in its order; responses that need no score are left out of it."""
    began = time.monotonic()
    params = claim.step.params
    assert isinstance(params, ScoreParams)
    prm = artefact_of(claim, params.prm)
    rows = list(rows_of(context, claim, (params.rows,), RolloutRow))

    def make() -> list[ScoreRow]:
        savings = savings_of(claim, on=params.savings)
        wanted = [(row, to_score(row, params.use, params.k, savings)) for row in rows]
        return score_rows(context, prm, wanted, progress)

    ref, scores = write_once(context, claim, ScoreRow, make, {"prm_version": prm.version})
    return ref, ScoreResult(
        responses=sum(len(row.responses) for row in rows),
        scored=sum(len(score.responses) for score in scores),
        prm_version=prm.version,
        seconds=time.monotonic() - began,
    )


def savings_of(claim: Claim, *, on: bool) -> Savings:
    """What the run's recipe leaves out in a step, `on` where it is to leave out anything."""
    if not on:
        return NO_SAVINGS
    return Savings() if claim.recipe.prm is None else claim.recipe.prm.leave_out


def score_rows(context: Context, prm: ArtefactRef, wanted: Sequence[Wanted], progress: Progress) -> list[ScoreRow]:
    """Scores of the wanted responses of each rollout row, in the rows' order."""
    found = _scored(context, prm, _asks(wanted), progress)
    return [_row(row, responses, found, prm.version) for row, responses in wanted]


def _asks(wanted: Sequence[Wanted]) -> list[_Ask]:
    """Requests to send. A blank response has no step, and a question with nothing to score is not asked about."""
    asks = []
    for _, group in groupby(wanted, key=lambda one: one[0].question.id):
        own = list(group)
        texts = [response.response.text for _, responses in own for response in responses]
        distinct = tuple(dict.fromkeys(text for text in texts if text.strip()))
        for start in range(0, len(distinct), TEXTS_PER_REQUEST):
            asks.append(_Ask(own[0][0].question, distinct[start : start + TEXTS_PER_REQUEST]))
    return asks


def _scored(
    context: Context, prm: ArtefactRef, asks: Sequence[_Ask], progress: Progress
) -> dict[tuple[str, str], tuple[ScoredStep, ...]]:
    """Steps with their scores, by question id and text."""
    found: dict[tuple[str, str], tuple[ScoredStep, ...]] = {}
    pool = ThreadPoolExecutor(IN_FLIGHT)
    try:
        for done, (ask, steps) in enumerate(zip(asks, pool.map(lambda a: _send(context, prm, a), asks), strict=True)):
            progress(done, len(asks))
            found |= {(ask.question.id, text): own for text, own in zip(ask.texts, steps, strict=True)}
        progress(len(asks), len(asks))
    finally:
        # A lost lease or a stop signal must not wait for requests that nobody needs any more.
        pool.shutdown(wait=False, cancel_futures=True)
    return found


def _send(context: Context, prm: ArtefactRef, ask: _Ask) -> list[tuple[ScoredStep, ...]]:
    request = ScoreRequest(
        question=ask.question.text,
        image=ImageInput(sha256=ask.question.image),
        responses=tuple(Candidate(text=text) for text in ask.texts),
    )
    return [result.steps for result in context.prm.score(request, prm).results]


def _row(
    row: RolloutRow,
    responses: Sequence[CheckedResponse],
    found: dict[tuple[str, str], tuple[ScoredStep, ...]],
    version: str,
) -> ScoreRow:
    return ScoreRow(
        question_id=row.question.id,
        prm_version=version,
        responses=tuple(
            _step_scores(response.index, found.get((row.question.id, response.response.text), ()))
            for response in responses
        ),
    )


def _step_scores(index: int, steps: tuple[ScoredStep, ...]) -> StepScores:
    return StepScores(index=index, steps=tuple(step.text for step in steps), scores=tuple(step.score for step in steps))
