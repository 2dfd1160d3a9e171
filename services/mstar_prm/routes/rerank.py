"""`POST /v1/rerank`: responses from best to worst, in our own shape or in Cohere's and Jina's."""

from typing import Annotated

from fastapi import APIRouter, Body, Request
from fastapi.concurrency import run_in_threadpool

from mstar.api.prm import ScoreReply
from mstar.api.ranking import AnyRerank, RankReply, RankRequest
from mstar_prm.client_shapes import best_first, rank_reply
from mstar_prm.routes import examples
from mstar_prm.scoring import Scoring
from mstar_web.bodies import JsonRoute

Reranked = Annotated[
    AnyRerank, Body(openapi_examples={"two": {"value": examples.OWN}, "Cohere": {"value": examples.RANK}})
]


def rerank_router(scoring: Scoring) -> APIRouter:
    """Reranking routes over one scorer."""
    router = APIRouter(route_class=JsonRoute)

    # Cohere's client calls /v2/rerank, Jina's /v1/rerank, vLLM's examples all three.
    @router.post("/v1/rerank")
    @router.post("/v2/rerank")
    @router.post("/rerank")
    async def rerank(request: Reranked, http: Request) -> ScoreReply | RankReply:
        """The same as scoring, best response first; equal scores keep their order.

        Cohere's and Jina's bodies are taken too, and answered in their shape.
        """
        if isinstance(request.root, RankRequest):
            scoring.require_model(request.root.model)
            asked = await run_in_threadpool(request.root.request)
            (reply,), tokens = await scoring.replies([asked], http)
            return rank_reply(request.root, reply, tokens)
        reply = await scoring.reply(request.root, http)
        best = best_first(reply.results)[: request.root.top_n]
        return reply.model_copy(update={"results": tuple(best)})

    return router
