"""Routes of the PRM service: score the steps of responses, rerank responses, name the model."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from fastapi.concurrency import run_in_threadpool

from mstar.api.prm import Candidate, RerankRequest, ScoredResponse, ScoredStep, ScoreReply, ScoreRequest
from mstar.errors import InvalidInput, Unavailable
from mstar.layout import canonical_steps, scored_segments
from mstar_artefacts.images import ImageStore
from mstar_models.images import ImageGate
from mstar_prm.scorer import Scorer, Segments
from mstar_web.bodies import JsonRoute
from mstar_web.limits import until_gone

MAX_SEGMENTS = 512
RETRY_AFTER_SECONDS = 5.0

_EXAMPLE: dict[str, Any] = {
    "question": "What is the total of A and C?",
    "image": {"sha256": "4" * 64},
    "responses": [
        {"text": "A is 34, C is 27\n\nSum: 34 + 27 = 61\n\n## Answer\n\n61"},
        {"steps": ["It looks like 60", "## Answer\n\n60"]},
    ],
}

_EXAMPLES = Body(openapi_examples={"two": {"value": _EXAMPLE}})
Scored = Annotated[ScoreRequest, _EXAMPLES]
Reranked = Annotated[RerankRequest, _EXAMPLES]


def prm_router(scorer: Scorer, gate: ImageGate, images: ImageStore, deadline_seconds: float) -> APIRouter:
    """Routes over one scorer."""
    router = APIRouter(prefix="/v1", tags=["scoring"], route_class=JsonRoute)

    async def scored(request: ScoreRequest, http: Request) -> ScoreReply:
        """Work that is not done by the deadline, or whose caller disconnects, is dropped before its turn."""
        try:
            return await asyncio.wait_for(until_gone(http, _score(request)), deadline_seconds)
        except TimeoutError:
            detail = f"not scored within {deadline_seconds:g} s: send this again later, or fewer responses at once"
            raise Unavailable(detail, retry_after=RETRY_AFTER_SECONDS) from None

    async def _score(request: ScoreRequest) -> ScoreReply:
        segments = [_segments(candidate, place) for place, candidate in enumerate(request.responses)]
        image = await run_in_threadpool(gate.resolve, request.image, images)
        version, scores = await scorer.score(request.question, image, segments, request.model_version)
        results = tuple(_result(place, *pair) for place, pair in enumerate(zip(segments, scores, strict=True)))
        return ScoreReply(model_version=version, results=results)

    @router.post("/score")
    async def score(request: Scored, http: Request) -> ScoreReply:
        """Score every step of every response of one question. A response's score is its least step score.

        Paper, section 3: R_p(y) = min over the steps. The answer block counts as the last step.
        """
        return await scored(request, http)

    @router.post("/rerank")
    async def rerank(request: Reranked, http: Request) -> ScoreReply:
        """The same, best response first; equal scores keep their order."""
        reply = await scored(request, http)
        best = sorted(reply.results, key=lambda result: -result.score)[: request.top_n]
        return reply.model_copy(update={"results": tuple(best)})

    @router.get("/models")
    async def models() -> dict[str, Any]:
        """The loaded model, in OpenAI's list shape."""
        state = scorer.weights()
        data = [{"id": state.model, "object": "model", "weight_version": state.weight_version}] if state.ready else []
        return {"object": "list", "data": data}

    return router


def _segments(candidate: Candidate, place: int) -> Segments:
    segments = canonical_steps(candidate.steps) if candidate.steps else scored_segments(candidate.text or "")
    if not segments or len(segments) > MAX_SEGMENTS:
        detail = f"it has {len(segments)} steps, but 1 to {MAX_SEGMENTS} can be scored"
        raise InvalidInput(f"response {place}: {detail}", field=f"responses.{place}")
    return segments


def _result(place: int, segments: Segments, scores: tuple[float, ...]) -> ScoredResponse:
    steps = tuple(ScoredStep(text=text, score=score) for text, score in zip(segments, scores, strict=True))
    return ScoredResponse(index=place, score=min(scores), steps=steps)
