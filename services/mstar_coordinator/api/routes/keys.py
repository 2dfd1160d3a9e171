"""`/v1/keys`: create, list and revoke keys; and the route by which policy and PRM look up a key they received."""

from typing import Annotated

from fastapi import APIRouter, Body, Query, Response
from fastapi.concurrency import run_in_threadpool

from mstar.api.keys import Introspect, Introspected, Key, KeyCreate, NewKey
from mstar.api.runs import Page
from mstar_coordinator.api.routes.context import Caller, Coordinator, Limit, paged
from mstar_web.bodies import JsonRoute
from mstar_web.keyring import INTROSPECT_PATH

EXAMPLE = {"name": "labeller of team blue", "roles": ["score"], "days": 90, "limits": {"requests_per_minute": 600}}
KeyId = Annotated[str | None, Query(max_length=40, description="`last_id` of the page before.")]

router = APIRouter(tags=["keys"], route_class=JsonRoute)


@router.post("/v1/keys", status_code=201)
def create_key(
    coordinator: Coordinator,
    caller: Caller,
    response: Response,
    request: Annotated[KeyCreate, Body(examples=[EXAMPLE])],
) -> NewKey:
    """Make a key. The answer is the only place that ever shows it."""
    made = coordinator.door.keys.create(request, caller)
    response.headers["Location"] = f"/v1/keys/{made.id}"
    response.headers["Cache-Control"] = "no-store"
    return made


@router.get("/v1/keys", responses={404: {"description": "The key that `after` names does not exist."}})
def list_keys(coordinator: Coordinator, caller: Caller, limit: Limit = 100, after: KeyId = None) -> Page[Key]:
    """Keys of the caller's project, the newest first, with those that have ended; an operator sees all projects'."""
    found = coordinator.door.keys.page(caller, after, limit + 1)
    return paged(found, limit, [key.id for key in found])


@router.post("/v1/keys/{key_id}/revoke")
async def revoke_key(coordinator: Coordinator, caller: Caller, key_id: str) -> Key:
    """End a key for good, and the sessions that began with it. Policy and PRM take up to 15 seconds to follow."""
    revoked = await run_in_threadpool(coordinator.door.keys.revoke, key_id, caller)
    # After the commit and in the event loop, for which the keyring is made.
    coordinator.door.keyring.forget()
    return revoked


@router.post(INTROSPECT_PATH, tags=["internal"])
async def introspect_key(coordinator: Coordinator, request: Introspect) -> Introspected:
    """Whose key it is; no principal for one that is unknown, expired or revoked."""
    return Introspected(principal=await coordinator.door.keyring.find(request.key))
