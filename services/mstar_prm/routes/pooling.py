"""`POST /pooling`: step scores in the shape in which vLLM gives those of process reward models."""

from typing import Annotated

from fastapi import APIRouter, Body, Request
from fastapi.concurrency import run_in_threadpool

from mstar.api.ranking import AnyPooling, PairsRequest, PoolingReply
from mstar_prm.client_shapes import pair_replies, pooling_reply
from mstar_prm.routes import examples
from mstar_prm.scoring import Scoring
from mstar_web.bodies import JsonRoute

Asked = Annotated[
    AnyPooling, Body(openapi_examples={"vLLM": {"value": examples.CHAT}, "pairs": {"value": examples.PAIRS}})
]


def pooling_router(scoring: Scoring) -> APIRouter:
    """The pooling route over one scorer."""
    router = APIRouter(route_class=JsonRoute)

    @router.post("/pooling")
    async def pooling(request: Asked, http: Request) -> PoolingReply:
        """The scores of the steps of a conversation's last answer: for each step the classes bad and good.

        The body is vLLM's, with `messages`; pairs of queries and documents are taken as well, many at once.
        """
        if isinstance(request.root, PairsRequest):
            return pooling_reply(*await pair_replies(scoring, request.root, http))
        scoring.require_model(request.root.model)
        asked = await run_in_threadpool(request.root.request)
        return pooling_reply(*await scoring.replies([asked], http))

    return router
