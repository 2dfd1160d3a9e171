"""Step scores for the responses of one rollout shard.

Exact savings: rows of one question (a sweep has one for each temperature) are asked about together, so that the PRM
computes images and question once, equal responses are scored once, and what cannot change an outcome is left out
(`mstar.needed_scores`).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from mstar.api.images import ImageInput
from mstar.api.prm import Candidate, ScoredStep, ScoreRequest
from mstar.errors import InvalidInput
from mstar.layout import scored_segments
from mstar.needed_scores import NO_SAVINGS, Savings, needed_for_ranking
from mstar.prompts import prompt_text
from mstar.recipes import Recipe
from mstar.stages.score import ScoreParams, ScoreResult
from mstar.steps import ArtefactRef, StepParams
from mstar.tracing import JoinedThreads
from mstar.types import CheckedResponse, Question, RolloutRow, SampledTokens, ScoreRow, StepScores
from mstar_coordinator.worker.context import ClaimedStep, Output

IN_FLIGHT = 16
"""Requests that the PRM holds at once, so that it can batch them."""
NAMED = 20
"""Questions of refused responses that a result names."""
RESPONSES_PER_REQUEST = 256
"""The most that the score route takes."""


Wanted = tuple[RolloutRow, tuple[CheckedResponse, ...]]
"""A rollout row with those of its responses that need a score."""


@dataclass(frozen=True)
class _Said:
    """A response as the PRM sees it: equal ones are scored once."""

    text: str
    tokens: SampledTokens | None


@dataclass(frozen=True)
class _Ask:
    """Distinct responses to one question."""

    question: Question
    responses: tuple[_Said, ...]


def run(step: ClaimedStep[ScoreParams]) -> Output[ScoreResult]:
    """Output: a row for each rollout row, in its order; responses that need no score are left out of it."""
    began = time.monotonic()
    prm = step.artefact(step.params.prm)
    rows = list(step.rows((step.params.rows,), RolloutRow))

    def make() -> list[ScoreRow]:
        wanted = [(row, needed_for_ranking(row, step.params.k, savings_of(step.recipe))) for row in rows]
        return score_rows(step, prm, wanted)

    ref, scores = step.write_once(ScoreRow, make, {"prm_version": prm.version})
    refused = refused_by_prm(rows, scores)
    return ref, ScoreResult(
        responses=sum(len(row.responses) for row in rows),
        scored=sum(len(score.responses) for score in scores) - len(refused),
        refused=len(refused),
        refused_of=tuple(dict.fromkeys(refused))[:NAMED],
        prm_version=prm.version,
        seconds=time.monotonic() - began,
    )


def savings_of(recipe: Recipe) -> Savings:
    """Which scores the run leaves out."""
    return recipe.prm.savings if recipe.prm else NO_SAVINGS


def score_rows(step: ClaimedStep[StepParams], prm: ArtefactRef, wanted: Sequence[Wanted]) -> list[ScoreRow]:
    """Scores of the wanted responses of each rollout row, in the rows' order."""
    found = _scored(step, prm, _asks(wanted))
    return [_row(row, responses, found, prm.version) for row, responses in wanted]


def _asks(wanted: Sequence[Wanted]) -> list[_Ask]:
    """Requests to send. A blank response has no step, and a question with nothing to score is not asked about."""
    asks = []
    # Rows of one question follow each other, as `generate` writes them.
    for _, group in groupby(wanted, key=lambda one: one[0].question.id):
        own = list(group)
        said = [_said(row, response) for row, responses in own for response in responses]
        distinct = tuple(dict.fromkeys(one for one in said if one.text.strip()))
        for start in range(0, len(distinct), RESPONSES_PER_REQUEST):
            asks.append(_Ask(own[0][0].question, distinct[start : start + RESPONSES_PER_REQUEST]))
    return asks


def _said(row: RolloutRow, checked: CheckedResponse) -> _Said:
    return _Said(checked.response.text, SampledTokens.of(checked.response, row.vocabulary))


def _scored(
    step: ClaimedStep[StepParams], prm: ArtefactRef, asks: Sequence[_Ask]
) -> dict[tuple[str, _Said], tuple[ScoredStep, ...]]:
    """Steps with their scores, by question id and response."""
    if step.claim.careful:
        return _scored_in_turn(step, prm, asks)
    found: dict[tuple[str, _Said], tuple[ScoredStep, ...]] = {}
    pool = JoinedThreads(IN_FLIGHT)
    try:
        replies = pool.map(lambda ask: _send(step, prm, ask), asks)
        for done, (ask, steps) in enumerate(zip(asks, replies, strict=True)):
            step.progress(done, len(asks))
            found |= {(ask.question.id, said): own for said, own in zip(ask.responses, steps, strict=True)}
        step.progress(len(asks), len(asks))
    finally:
        # A lost lease or a stop signal must not wait for requests that nobody needs any more.
        pool.shutdown(wait=False, cancel_futures=True)
    return found


def _scored_in_turn(
    step: ClaimedStep[StepParams], prm: ArtefactRef, asks: Sequence[_Ask]
) -> dict[tuple[str, _Said], tuple[ScoredStep, ...]]:
    """The same, one question after another."""
    of_question: dict[str, list[_Ask]] = {}
    for ask in asks:
        of_question.setdefault(ask.question.id, []).append(ask)
    scored = step.in_turn(of_question, lambda one: [_send(step, prm, ask) for ask in of_question[one]])
    return {
        (question, said): own
        for question, replies in scored.items()
        for ask, reply in zip(of_question[question], replies, strict=True)
        for said, own in zip(ask.responses, reply, strict=True)
    }


def _send(step: ClaimedStep[StepParams], prm: ArtefactRef, ask: _Ask) -> list[tuple[ScoredStep, ...]]:
    form = step.recipe.scoring_form
    # The questions of an evaluation are whole user turns, and the PRM sees them without a system turn.
    whole = step.recipe.measure is not None
    request = ScoreRequest(
        question=ask.question.text if whole else prompt_text(ask.question, form),
        images=tuple(ImageInput(sha256=image) for image in ask.question.images),
        system="" if whole else form.system,
        responses=tuple(_candidate(said, form.step_separator) for said in ask.responses),
        # Of a model of no run nobody knows it: the PRM's own is taken, as by `mstar eval`.
        step_separator=step.recipe.prompt.step_separator if whole else form.step_separator,
    )
    try:
        reply = step.use.prm.score(request, prm)
    except InvalidInput as error:
        # The PRM takes none of them, such as for their length: that is this question's problem, not the run's.
        if not (error.field or "").startswith("responses."):
            raise
        return [()] * len(ask.responses)
    return [result.steps for result in reply.results]


def refused_by_prm(rows: Sequence[RolloutRow], scores: Sequence[ScoreRow]) -> list[str]:
    """The question of each response that was sent to the PRM and has no score."""
    found = []
    for row, own in zip(rows, scores, strict=True):
        said = {one.index: one.response.text for one in row.responses}
        found += [row.question.id for one in own.responses if not one.steps and said[one.index].strip()]
    return found


def _candidate(said: _Said, separator: str) -> Candidate:
    if said.tokens is None:
        return Candidate(text=said.text)
    return Candidate(steps=scored_segments(said.text, separator), tokens=said.tokens)


def _row(
    row: RolloutRow,
    responses: Sequence[CheckedResponse],
    found: dict[tuple[str, _Said], tuple[ScoredStep, ...]],
    version: str,
) -> ScoreRow:
    return ScoreRow(
        question_id=row.question.id,
        prm_version=version,
        responses=tuple(
            _step_scores(response.index, found.get((row.question.id, _said(row, response)), ()))
            for response in responses
        ),
    )


def _step_scores(index: int, steps: tuple[ScoredStep, ...]) -> StepScores:
    return StepScores(index=index, steps=tuple(step.text for step in steps), scores=tuple(step.score for step in steps))
