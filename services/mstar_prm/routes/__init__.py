"""Routes of the PRM service, a file for each kind of request: our own bodies and those of other servers' clients."""

from fastapi import APIRouter

from mstar_prm.routes.models import models_router
from mstar_prm.routes.pooling import pooling_router
from mstar_prm.routes.rerank import rerank_router
from mstar_prm.routes.score import score_router
from mstar_prm.scoring import Scoring


def prm_router(scoring: Scoring) -> APIRouter:
    """All routes over one scorer."""
    router = APIRouter(tags=["scoring"])
    for part in (score_router(scoring), pooling_router(scoring), rerank_router(scoring), models_router(scoring)):
        router.include_router(part)
    return router
