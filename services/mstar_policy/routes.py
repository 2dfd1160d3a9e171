"""The policy's routes: rollouts for the training loop, chat completions and models for OpenAI clients."""

import secrets
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, Counter, Gauge
from starlette.responses import Response, StreamingResponse

from mstar.api.policy import RolloutReply, RolloutRequest, Usage
from mstar.errors import NotFound
from mstar_policy.chat import MODEL_NAME, ChatRequest, require_model, to_sampling
from mstar_policy.chat_reply import ChatReply, Model, ModelList, completion
from mstar_policy.engine import Generation, TokenCallback
from mstar_policy.rollouts import Rollouts
from mstar_policy.streaming import begun
from mstar_web.bodies import JsonRoute
from mstar_web.limits import until_gone

NOT_OFFERED = (
    "responses",
    "completions",
    "embeddings",
    "moderations",
    "images",
    "audio",
    "videos",
    "realtime",
    "files",
    "uploads",
    "batches",
    "fine_tuning",
    "assistants",
    "threads",
    "vector_stores",
    "conversations",
    "evals",
)
"""First path segments of OpenAI's API that this service does not offer."""


def policy_router(rollouts: Rollouts, registry: CollectorRegistry) -> APIRouter:
    """All routes except weights and health. Work for a caller who disconnects is dropped."""
    router = APIRouter(prefix="/v1", route_class=_admitting(rollouts))
    tokens = Counter("mstar_policy_tokens", "Tokens computed.", ("kind",), registry=registry)
    # Both labels exist from the start, because a rate needs the zero before the first tokens.
    read, written = tokens.labels("prompt"), tokens.labels("completion")
    images = Counter("mstar_policy_images", "Images encoded.", registry=registry)
    Gauge("mstar_policy_rows", "Samples in progress.", registry=registry).set_function(lambda: rollouts.rows)

    def count(usage: Usage) -> None:
        read.inc(usage.prompt_tokens)
        written.inc(usage.completion_tokens)
        images.inc(usage.images_encoded)

    @router.post("/rollouts", tags=["rollouts"], response_model=RolloutReply)
    async def sample_rollouts(body: RolloutRequest, request: Request) -> Response:
        """Sample every prompt n times from one weight version."""
        reply = await until_gone(request, rollouts.sample(body))
        count(reply.usage)
        # A reply holds thousands of samples; FastAPI would validate them again before it serializes them.
        return Response(reply.model_dump_json(), media_type="application/json")

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
            count(generation.usage)
            return generation

        if not body.stream:
            return completion(chat, await until_gone(request, sample()), identity, vocabulary)
        events = await until_gone(request, begun(chat, sample, version, identity, vocabulary))
        return StreamingResponse(events, media_type="text/event-stream")

    @router.get("/models", tags=["openai"])
    async def list_models() -> ModelList:
        """The policy, and the weight version that it serves now."""
        state = rollouts.engine.weights()
        names = [MODEL_NAME, state.weight_version] if state.ready else []
        return ModelList(object="list", data=[_model(name) for name in names])

    @router.get("/models/{name:path}", tags=["openai"])
    async def read_model(name: str) -> Model:
        """One served model; 404 for any other name."""
        require_model(name, rollouts.engine.weights().weight_version)
        return _model(name)

    return router


def _admitting(rollouts: Rollouts) -> type[JsonRoute]:
    """Routes that refuse a request before reading its body while nothing more can be admitted."""

    class AdmittingRoute(JsonRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def admitted(request: Request) -> Response:
                if request.method == "POST":
                    rollouts.check_room()
                return await handle(request)

            return admitted

    return AdmittingRoute


def _model(name: str) -> Model:
    return Model(id=name, object="model", created=0, owned_by="mstar")


def not_offered_router() -> APIRouter:
    """OpenAI's other routes, which answer 404 with what this service offers instead. Include it last."""
    router = APIRouter(prefix="/v1", include_in_schema=False)

    async def not_offered(request: Request) -> Response:
        path = request.url.path[:64]
        raise NotFound(f"{path} is not offered here: use POST /v1/chat/completions or POST /v1/rollouts")

    for name in NOT_OFFERED:
        for path in (f"/{name}", f"/{name}/{{rest:path}}"):
            router.add_api_route(path, not_offered, methods=["GET", "POST", "DELETE"])
    return router
