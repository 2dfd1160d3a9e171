"""Scoring for clients while the PRM takes turns on the GPUs: forwarded if it is there, else refused until a time.

Only mounted where the settings name a PRM. What this leaves out: the way to its replicas (`relay`), scoring itself, and
its limits (`mstar_prm`).
"""

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from mstar.api.ranking import AnyRerank, AnyScore, PairsRequest
from mstar_coordinator.relay import Relay
from mstar_web.limits import until_gone

RELAYED: tuple[tuple[str, type[BaseModel] | None], ...] = (
    ("/v1/score", AnyScore),
    ("/score", AnyScore),
    *((path, AnyRerank) for path in ("/v1/rerank", "/v2/rerank", "/rerank")),
    ("/pooling", PairsRequest),
    ("/v1/models", None),
)
"""Paths of the PRM, with the body of those that are posted."""
PASSED_ON = ("content-type", "retry-after")


def scoring_router(relay: Relay) -> APIRouter:
    """Routes of the PRM under the coordinator's address; `relay` passes requests on."""
    router = APIRouter(tags=["scoring"])  # the PRM reads the bodies, by its rules

    async def asked(request: Request) -> Response:
        # Read before the connection is watched: what watches it would swallow the body.
        body = await request.body()
        answer = await until_gone(request, relay.send(request, body))
        # The others speak of the connection to the PRM, not of this one.
        kept = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
        return Response(answer.content, answer.status_code, kept)

    said = "The PRM is not there now, or gave no answer; see Retry-After."
    described: dict[str, Any] = {"responses": {503: {"description": said}}}
    for path, body in RELAYED:
        method = "GET" if body is None else "POST"
        router.add_api_route(
            path,
            asked,
            methods=[method],
            name=f"relay{path.replace('/', '_')}",
            openapi_extra=_described(body),
            **described,
        )
    return router


def _described(body: type[BaseModel] | None) -> dict[str, Any] | None:
    """What the OpenAPI document says of a body that is passed on unread."""
    if body is None:
        return None
    schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
