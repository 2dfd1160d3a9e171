"""The workers' side: claim, heartbeat, commit and release of steps. Nobody else calls these."""

from typing import Annotated

from fastapi import APIRouter, Query

from mstar.api.steps import Ack, Arrivals, Claim, ClaimRequest, Commit, Heartbeat, HeartbeatReply, Release
from mstar_coordinator.api.routes.context import Coordinator
from mstar_web.bodies import JsonRoute

EventNumber = Annotated[int, Query(ge=0, description="`seen` of the answer before.")]
router = APIRouter(prefix="/internal/v1/steps/{step_id}", tags=["internal"], route_class=JsonRoute)


@router.post("/claim")
def claim_step(coordinator: Coordinator, step_id: str, request: ClaimRequest) -> Claim:
    """Lease a step. 409 `step-taken` when it is leased, finished or not due."""
    return coordinator.lifecycle.claim(step_id, request.worker)


@router.get("/claim")
def get_claim(coordinator: Coordinator, step_id: str) -> Claim:
    """What the holder of a leased step was given, for processes that help it. 409 `step-taken` when nobody holds it."""
    return coordinator.lifecycle.claimed(step_id)


@router.get("/arrivals")
def list_arrivals(coordinator: Coordinator, step_id: str, epoch: int, after: EventNumber = 0) -> Arrivals:
    """Inputs of a leased step that have come by now, or after an event. 409 `stale-epoch` when the lease is void."""
    return coordinator.lifecycle.arrivals(step_id, epoch, after)


@router.post("/heartbeat")
def renew_lease(coordinator: Coordinator, step_id: str, request: Heartbeat) -> HeartbeatReply:
    """Keep a lease. 409 `stale-epoch` when it is void."""
    return coordinator.lifecycle.heartbeat(step_id, request)


@router.post("/commit")
def commit_step(coordinator: Coordinator, step_id: str, request: Commit) -> Ack:
    """Hand in what the step left, once. 409 `stale-epoch` when the lease is void."""
    coordinator.lifecycle.commit(step_id, request)
    return Ack()


@router.post("/release")
def release_step(coordinator: Coordinator, step_id: str, request: Release) -> Ack:
    """Give a step back unfinished. 409 `stale-epoch` when the lease is void."""
    coordinator.lifecycle.release(step_id, request)
    return Ack()
