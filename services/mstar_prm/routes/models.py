"""`GET /v1/models`: which model is loaded."""

from typing import Any

from fastapi import APIRouter

from mstar_prm.scoring import Scoring


def models_router(scoring: Scoring) -> APIRouter:
    """The list of models, which has one entry or none."""
    router = APIRouter()

    @router.get("/v1/models")
    async def models() -> dict[str, Any]:
        """The loaded model, in OpenAI's list shape."""
        state = scoring.scorer.weights()
        data = [{"id": state.model, "object": "model", "weight_version": state.weight_version}] if state.ready else []
        return {"object": "list", "data": data}

    return router
