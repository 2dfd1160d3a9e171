"""Routes of the policy service: rollouts for the training loop, OpenAI's chat and models for other clients."""

from fastapi import APIRouter
from prometheus_client import CollectorRegistry

from mstar_policy.rollouts import Rollouts
from mstar_policy.routes.admitting import admitting
from mstar_policy.routes.chat import chat_router
from mstar_policy.routes.models import models_router
from mstar_policy.routes.rollouts import rollouts_router
from mstar_policy.routes.usage import UsageMetrics


def policy_router(rollouts: Rollouts, registry: CollectorRegistry) -> APIRouter:
    """All routes except weights and health. Work for a caller who disconnects is dropped."""
    router = APIRouter()
    usage, route_class = UsageMetrics(registry, rollouts), admitting(rollouts)
    router.include_router(rollouts_router(rollouts, usage, route_class))
    router.include_router(chat_router(rollouts, usage, route_class))
    router.include_router(models_router(rollouts))
    return router
