"""The policy's routes: rollouts for the loop, chat completions and models for everyone's tools."""

import secrets
import uuid
from collections.abc import Awaitable
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, Counter, Gauge
from starlette.responses import Response, StreamingResponse

from mstar.api.policy import RolloutReply, RolloutRequest
from mstar_policy.chat import ChatRequest, completion, to_rollouts
from mstar_policy.rollouts import Rollouts
from mstar_policy.streaming import begun
from mstar_web.bodies import JsonRoute
from mstar_web.limits import until_gone

MODEL_NAME = "mstar-policy"


def policy_router(rollouts: Rollouts, registry: CollectorRegistry) -> APIRouter:
    """All routes but weights and health. Work for a caller who disconnects is dropped."""
    router = APIRouter(prefix="/v1", route_class=JsonRoute)
    tokens = Counter("mstar_policy_tokens", "Tokens computed.", ("kind",), registry=registry)
    # Both kinds from the start: a rate needs the zero before the first tokens.
    read, written = tokens.labels("prompt"), tokens.labels("completion")
    images = Counter("mstar_policy_images", "Images encoded.", registry=registry)
    Gauge("mstar_policy_rows", "Samples under way.", registry=registry).set_function(lambda: rollouts.rows)

    async def counted(work: Awaitable[RolloutReply]) -> RolloutReply:
        reply = await work
        read.inc(reply.usage.prompt_tokens)
        written.inc(reply.usage.completion_tokens)
        images.inc(reply.usage.images_encoded)
        return reply

    @router.post("/rollouts", tags=["rollouts"], response_model=RolloutReply)
    async def sample_rollouts(body: RolloutRequest, request: Request) -> Response:
        """Sample every prompt n times from one weight version."""
        reply = await counted(until_gone(request, rollouts.sample(body)))
        # A reply holds thousands of samples; it is valid already and is written out once.
        return Response(reply.model_dump_json(), media_type="application/json")

    @router.post("/chat/completions", tags=["openai"], response_model=None)
    async def complete_chat(body: ChatRequest, request: Request) -> Response | dict[str, Any]:
        """One image and question in OpenAI's shape; with `stream`, token by token as they are sampled."""
        asked, identity = to_rollouts(body, seed=secrets.randbits(63)), f"chatcmpl-{uuid.uuid4().hex}"
        engine = rollouts.engine
        if not body.stream:
            reply = await counted(until_gone(request, rollouts.sample(asked)))
            return completion(reply, identity, engine.read)
        version = engine.weights().weight_version
        # The first event names the version, so no other may answer.
        asked = asked.model_copy(update={"weight_version": asked.weight_version or version or None})
        events = await until_gone(
            request, begun(body, lambda heard: counted(rollouts.sample(asked, heard)), version, identity, engine.read)
        )
        return StreamingResponse(events, media_type="text/event-stream")

    @router.get("/models", tags=["openai"])
    async def list_models() -> dict[str, Any]:
        """The policy, and the weight version that it serves now."""
        state = rollouts.engine.weights()
        names = [MODEL_NAME, state.weight_version] if state.ready else []
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "mstar"} for name in names]
        return {"object": "list", "data": models}

    return router
