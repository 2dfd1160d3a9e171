"""`POST /v1/chat/completions`: a conversation in OpenAI's shape, whole or as a stream."""

import secrets
import uuid
from dataclasses import replace

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from mstar_policy.chat import ChatRequest, require_model, to_sampling
from mstar_policy.chat_reply import ChatReply, completion
from mstar_policy.engine import Generation, TokenCallback
from mstar_policy.rollouts import Rollouts
from mstar_policy.routes.usage import UsageMetrics
from mstar_policy.streaming import begun
from mstar_web.bodies import JsonRoute
from mstar_web.limits import until_gone


def chat_router(rollouts: Rollouts, usage: UsageMetrics, route_class: type[JsonRoute]) -> APIRouter:
    """The route for clients of OpenAI's API."""
    router = APIRouter(prefix="/v1", route_class=route_class)

    @router.post(
        "/chat/completions",
        tags=["openai"],
        response_model=None,
        responses={200: {"model": ChatReply, "content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )
    async def complete_chat(body: ChatRequest, request: Request) -> Response | ChatReply:
        """Answer a conversation in OpenAI's shape; with `stream`, token by token as they are sampled."""
        chat, identity = to_sampling(body, seed=secrets.randbits(63)), f"chatcmpl-{uuid.uuid4().hex}"
        engine = rollouts.engine
        vocabulary, version = engine.vocabulary(), engine.weights().weight_version
        require_model(body.model, version)

        async def sample(on_tokens: TokenCallback | None = None) -> Generation:
            # Vocabulary and first event belong to this version, so no other may answer.
            asked = replace(chat.request, weight_version=version)
            generation = await rollouts.generate(asked, [chat.images], on_tokens)
            usage.count(generation.usage)
            return generation

        if not body.stream:
            return completion(chat, await until_gone(request, sample()), identity, vocabulary)
        events = await until_gone(request, begun(chat, sample, version, identity, vocabulary))
        return StreamingResponse(events, media_type="text/event-stream")

    return router
