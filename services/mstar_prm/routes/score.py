"""`POST /v1/score`: step scores of the responses to one question, in our own shape or in vLLM's."""

from typing import Annotated

from fastapi import APIRouter, Body, Request

from mstar.api.prm import ScoreReply, ScoreRequest
from mstar.api.ranking import AnyScore, PairsReply
from mstar_prm.client_shapes import pair_replies, pairs_reply
from mstar_prm.routes import examples
from mstar_prm.scoring import Scoring
from mstar_web.bodies import JsonRoute

Scored = Annotated[AnyScore, Body(openapi_examples={"two": {"value": examples.OWN}, "vLLM": {"value": examples.PAIRS}})]


def score_router(scoring: Scoring) -> APIRouter:
    """Scoring routes over one scorer."""
    router = APIRouter(route_class=JsonRoute)

    @router.post("/v1/score")
    @router.post("/score")
    async def score(request: Scored, http: Request) -> ScoreReply | PairsReply:
        """Score every step of every response of one question; a response's score is its least step score.

        Paper, section 3: R_p(y) = min over the steps. The answer block has a score of its own, which counts only with
        `answer_block`. vLLM's score bodies are taken too, and answered in their shape.
        """
        if isinstance(request.root, ScoreRequest):
            return await scoring.reply(request.root, http)
        return pairs_reply(*await pair_replies(scoring, request.root, http))

    return router
