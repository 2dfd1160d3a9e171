"""`POST /v1/rollouts`: many samples of many prompts in one request."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from mstar.api.policy import RolloutReply, RolloutRequest
from mstar_policy.rollouts import Rollouts
from mstar_policy.routes.usage import UsageMetrics
from mstar_web.bodies import JsonRoute
from mstar_web.limits import until_gone


def rollouts_router(rollouts: Rollouts, usage: UsageMetrics, route_class: type[JsonRoute]) -> APIRouter:
    """The route of the training loop."""
    router = APIRouter(prefix="/v1", route_class=route_class)

    @router.post("/rollouts", tags=["rollouts"], response_model=RolloutReply)
    async def sample_rollouts(body: RolloutRequest, request: Request) -> Response:
        """Sample every prompt n times from one weight version."""
        reply = await until_gone(request, rollouts.sample(body))
        usage.count(reply.usage)
        # A reply holds thousands of samples; FastAPI would validate them again before it serializes them.
        return Response(reply.model_dump_json(), media_type="application/json")

    return router
