"""`GET /v1/models`: the policy, and the weight version that it serves."""

from fastapi import APIRouter

from mstar_policy.chat import MODEL_NAME, require_model
from mstar_policy.chat_reply import Model, ModelList
from mstar_policy.rollouts import Rollouts


def models_router(rollouts: Rollouts) -> APIRouter:
    """The list of models, and one by its name."""
    router = APIRouter(prefix="/v1")

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


def _model(name: str) -> Model:
    return Model(id=name, object="model", created=0, owned_by="mstar")
