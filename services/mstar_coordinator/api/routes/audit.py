"""`/v1/audit`: who changed what."""

from typing import Annotated

from fastapi import APIRouter, Query

from mstar.api.audit import AuditEntry
from mstar.api.runs import Page
from mstar_coordinator.api.routes.context import Caller, Coordinator, Limit, paged
from mstar_web.bodies import JsonRoute

Entries = Page[AuditEntry]
router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=JsonRoute)


@router.get("")
def list_audit(
    coordinator: Coordinator,
    caller: Caller,
    limit: Limit = 100,
    after: Annotated[int | None, Query(ge=1, le=2**31, description="`last_id` of the page before.")] = None,
) -> Entries:
    """Changes that keys of the caller's project asked for, the newest first; those of all projects for an operator."""
    with coordinator.store.reading() as tx:
        found = tx.audit.page(None if caller.operator else caller.project, after, limit + 1)
    return paged(found, limit, [str(entry.id) for entry in found])
