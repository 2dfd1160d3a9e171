"""Scoring for people while the PRM takes turns on the GPUs: passed on when it is there, else refused with a time.

Only mounted where the settings name a PRM. What this leaves out: scoring itself, and its limits (`mstar_prm`).
"""

from typing import Any

import httpx2
from fastapi import APIRouter, Request, Response

from mstar.errors import Unavailable
from mstar_web.limits import until_gone

RETRY_AFTER_SECONDS = 60.0
"""A turn lasts for minutes, and nobody knows for how many."""
PASSED_ON = ("content-type", "retry-after")


def scoring_router(prm: httpx2.AsyncClient, key: str | None) -> APIRouter:
    """Routes of the PRM under the coordinator's address. `key` opens the PRM; callers have shown the same one here."""
    router = APIRouter(prefix="/v1", tags=["scoring"])
    headers = {} if key is None else {"authorization": f"Bearer {key}"}

    async def asked(request: Request) -> Response:
        body = await request.body()
        sent = headers | {"content-type": request.headers.get("content-type", "application/json")}
        try:
            answer = await until_gone(
                request, prm.request(request.method, request.url.path, content=body, headers=sent)
            )
        except httpx2.TransportError:
            detail = "the PRM has no GPU now, since sampling or training has its turn: send this again later"
            raise Unavailable(detail, retry_after=RETRY_AFTER_SECONDS) from None
        kept = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
        return Response(answer.content, answer.status_code, kept)

    described: dict[str, Any] = {"responses": {503: {"description": "The PRM has no GPU now; see Retry-After."}}}
    for path, method in (("/score", "POST"), ("/rerank", "POST"), ("/models", "GET")):
        router.add_api_route(path, asked, methods=[method], name=f"relay {path}", **described)
    return router
