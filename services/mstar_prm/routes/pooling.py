"""`POST /pooling`: step scores in the shape in which vLLM gives them."""

from typing import Annotated

from fastapi import APIRouter, Body, Request

from mstar.api.ranking import PairsRequest, PoolingReply
from mstar_prm.client_shapes import pair_replies, pooling_reply
from mstar_prm.routes import examples
from mstar_prm.scoring import Scoring
from mstar_web.bodies import JsonRoute

Pairs = Annotated[PairsRequest, Body(openapi_examples={"vLLM": {"value": examples.PAIRS}})]


def pooling_router(scoring: Scoring) -> APIRouter:
    """The pooling route over one scorer."""
    router = APIRouter(route_class=JsonRoute)

    @router.post("/pooling")
    async def pooling(request: Pairs, http: Request) -> PoolingReply:
        """The score of each step of each document, in vLLM's shape."""
        return pooling_reply(await pair_replies(scoring, request, http))

    return router
