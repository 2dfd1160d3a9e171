"""Routes of the PRM service: score the steps of responses, rerank responses, name the model."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from fastapi.concurrency import run_in_threadpool
from PIL.Image import Image

from mstar.api.prm import (
    Candidate,
    ItemError,
    RefusedCandidate,
    ScoredResponse,
    ScoredStep,
    ScoreReply,
    ScoreRequest,
)
from mstar.api.ranking import AnyRerank, AnyScore, PairsReply, PairsRequest, PoolingReply, RankReply, RankRequest
from mstar.errors import InvalidInput, NotFound, Unavailable
from mstar.layout import canonical_steps, scored_segments
from mstar_artefacts.images import ImageStore
from mstar_models.images import CHILDREN, ImageGate
from mstar_prm.client_shapes import best_first, pairs_reply, pooling_reply, rank_reply
from mstar_prm.scorer import Scorer, Segments
from mstar_web.auth import caller_of
from mstar_web.bodies import JsonRoute
from mstar_web.limits import until_gone
from mstar_web.turns import Turns

MAX_SEGMENTS = 512
MODEL = "mstar-prm"
"""A name for whatever model is loaded, for clients that must send one."""
RETRY_AFTER_SECONDS = 5.0
SCORED_TOGETHER = 16
"""Requests that are encoded or scored at once. Enough to fill a batch; few enough that a caller's turn comes soon."""
WAITING = 256
"""Requests that may wait for a turn, half of them of one caller, before further ones get a 429."""

_EXAMPLE: dict[str, Any] = {
    "question": "What is the total of A and C?",
    "image": {"sha256": "4" * 64},
    "responses": [
        {"text": "A is 34, C is 27\n\nSum: 34 + 27 = 61\n\n## Answer\n\n61"},
        {"steps": ["It looks like 60", "## Answer\n\n60"]},
    ],
}

_QUERY = [
    {"type": "text", "text": "What is the total of A and C?"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
]
_DOCUMENTS = ["Sum: 34 + 27 = 61\n\n## Answer\n\n61", "It looks like 60\n\n## Answer\n\n60"]
_RANK = {"model": MODEL, "query": _QUERY, "documents": _DOCUMENTS, "top_n": 1}
_PAIRS = {"model": MODEL, "text_1": {"content": _QUERY}, "text_2": _DOCUMENTS}

Scored = Annotated[AnyScore, Body(openapi_examples={"two": {"value": _EXAMPLE}, "vLLM": {"value": _PAIRS}})]
Reranked = Annotated[AnyRerank, Body(openapi_examples={"two": {"value": _EXAMPLE}, "Cohere": {"value": _RANK}})]
Pairs = Annotated[PairsRequest, Body(openapi_examples={"vLLM": {"value": _PAIRS}})]


def prm_router(scorer: Scorer, gate: ImageGate, images: ImageStore, deadline_seconds: float) -> APIRouter:
    """Routes over one scorer."""
    router = APIRouter(tags=["scoring"], route_class=JsonRoute)

    decoding = Turns(CHILDREN, waiting=WAITING, waiting_each=WAITING // 2)
    scoring = Turns(SCORED_TOGETHER, waiting=WAITING, waiting_each=WAITING // 2)

    async def scored(request: ScoreRequest, http: Request) -> ScoreReply:
        """Work that is not done by the deadline, or whose caller disconnects, is dropped before its turn."""
        try:
            return await asyncio.wait_for(until_gone(http, _score(request, caller_of(http.scope))), deadline_seconds)
        except TimeoutError:
            detail = f"not scored within {deadline_seconds:g} s: send this again later, or fewer responses at once"
            raise Unavailable(detail, retry_after=RETRY_AFTER_SECONDS) from None

    async def _score(request: ScoreRequest, caller: str) -> ScoreReply:
        if not scorer.weights().ready:
            raise Unavailable("no weights are loaded: put a checkpoint to /v1/weights first", retry_after=2)
        segments, refused = await run_in_threadpool(_cut, request.responses)
        image = await _image(request, caller)
        async with scoring.turn(caller):
            version, scores = await _each(request, image, segments, refused)
        results = (
            _not_scored(place, refused[place]) if place in refused else _result(place, segments[place], scores[place])
            for place in range(len(request.responses))
        )
        return ScoreReply(model_version=version, results=tuple(results))

    async def _image(request: ScoreRequest, caller: str) -> Image:
        # An image that is known never waits behind those that others have decoded.
        known = gate.known(request.image.sha256) if request.image.sha256 is not None else None
        if known is not None:
            return known
        async with decoding.turn(caller):
            return await run_in_threadpool(gate.resolve, request.image, images)

    async def _each(
        request: ScoreRequest, image: Image, segments: dict[int, Segments], refused: dict[int, InvalidInput]
    ) -> tuple[str, dict[int, tuple[float, ...]]]:
        """Scores by place. A response that the scorer refuses is noted in `refused`, and the others are scored."""
        while True:
            places = [place for place in segments if place not in refused]
            if not places:
                raise refused[min(refused)]
            asked = [segments[place] for place in places]
            try:
                version, scores = await scorer.score(request.question, image, asked, request.model_version)
            except InvalidInput as error:
                own = (error.field or "").removeprefix("responses.")
                if not own.isdecimal():
                    raise
                place = places[int(own)]
                detail = error.detail.replace(f"response {own}", f"response {place}", 1)
                refused[place] = InvalidInput(detail, field=f"responses.{place}")
            else:
                return version, dict(zip(places, scores, strict=True))

    def check(model: str | None) -> None:
        state = scorer.weights()
        if state.ready and model not in (None, MODEL, state.model, state.weight_version):
            raise NotFound(f"the model {model[:100]!r} is not served; {MODEL} is the one that is", field="model")

    @router.post("/v1/score")
    @router.post("/score")
    async def score(request: Scored, http: Request) -> ScoreReply | PairsReply:
        """Score every step of every response of one question. A response's score is its least step score.

        Paper, section 3: R_p(y) = min over the steps. The answer block counts as the last step. vLLM's score bodies
        are taken too, and answered in their shape.
        """
        if isinstance(request.root, ScoreRequest):
            return await scored(request.root, http)
        check(request.root.model)
        return pairs_reply(await each(request.root, http))

    @router.post("/pooling")
    async def pooling(request: Pairs, http: Request) -> PoolingReply:
        """The score of each step of each document, in vLLM's shape."""
        check(request.model)
        return pooling_reply(await each(request, http))

    async def each(request: PairsRequest, http: Request) -> list[ScoreReply]:
        asked = await run_in_threadpool(request.requests)
        return [await scored(one, http) for one in asked]

    @router.post("/v1/rerank")
    @router.post("/v2/rerank")
    @router.post("/rerank")
    async def rerank(request: Reranked, http: Request) -> ScoreReply | RankReply:
        """The same, best response first; equal scores keep their order. Cohere's and Jina's bodies are taken too."""
        if isinstance(request.root, RankRequest):
            check(request.root.model)
            asked = await run_in_threadpool(request.root.request)
            return rank_reply(request.root, await scored(asked, http))
        reply = await scored(request.root, http)
        best = best_first(reply.results)[: request.root.top_n]
        return reply.model_copy(update={"results": tuple(best)})

    @router.get("/v1/models")
    async def models() -> dict[str, Any]:
        """The loaded model, in OpenAI's list shape."""
        state = scorer.weights()
        data = [{"id": state.model, "object": "model", "weight_version": state.weight_version}] if state.ready else []
        return {"object": "list", "data": data}

    return router


def _cut(candidates: Sequence[Candidate]) -> tuple[dict[int, Segments], dict[int, InvalidInput]]:
    """By place: the segments of the responses that can be scored, and why the others can't."""
    segments: dict[int, Segments] = {}
    refused: dict[int, InvalidInput] = {}
    for place, candidate in enumerate(candidates):
        if isinstance(candidate, RefusedCandidate):
            field = f"responses.{place}.{candidate.field}".rstrip(".")
            refused[place] = InvalidInput(f"{field}: {candidate.detail}", field=field)
            continue
        found = canonical_steps(candidate.steps) if candidate.steps else scored_segments(candidate.text or "")
        if not found or len(found) > MAX_SEGMENTS:
            detail = f"it has {len(found)} steps, but 1 to {MAX_SEGMENTS} can be scored"
            refused[place] = InvalidInput(f"response {place}: {detail}", field=f"responses.{place}")
        else:
            segments[place] = found
    return segments, refused


def _not_scored(place: int, error: InvalidInput) -> ScoredResponse:
    problem = ItemError(code=error.code, detail=error.detail, field=error.field or f"responses.{place}")
    return ScoredResponse(index=place, score=0.0, steps=(), error=problem)


def _result(place: int, segments: Segments, scores: tuple[float, ...]) -> ScoredResponse:
    steps = tuple(ScoredStep(text=text, score=score) for text, score in zip(segments, scores, strict=True))
    return ScoredResponse(index=place, score=min(scores), steps=steps)
