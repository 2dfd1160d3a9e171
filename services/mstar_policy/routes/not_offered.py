"""OpenAI's routes that this service does not offer: their clients read what it offers instead, not just a 404."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from mstar.errors import NotFound

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
