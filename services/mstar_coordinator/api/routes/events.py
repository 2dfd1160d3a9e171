"""`/v1/runs/{id}/events`: a page of JSON, or a stream of server-sent events, both read from the store.

A stream that breaks is resumed after `Last-Event-ID` without a gap, whatever happened to broker or coordinator between.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.responses import Response

from mstar.api.runs import Event, Page
from mstar.errors import NotFound, Unavailable
from mstar.evolution import RunState
from mstar_coordinator.access.door import StillIn
from mstar_coordinator.api.routes.context import After, Caller, Context, Coordinator, Limit, paged
from mstar_web.bodies import JsonRoute

POLL_SECONDS = 0.3
KEEPALIVE_SECONDS = 15.0
STILL_IN_SECONDS = 3.0
BATCH = 500
ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)

router = APIRouter(prefix="/v1/runs/{run_id}/events", tags=["events"], route_class=JsonRoute)

Accept = Annotated[str, Header(description="`text/event-stream` asks for a stream.")]
LastEventId = Annotated[
    str,
    Header(alias="Last-Event-ID", pattern="^[0-9]{0,15}$", description="Resume a stream after the event with this id."),
]


@router.get(
    "", response_model=Page[Event], responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}
)
async def list_events(
    request: Request,
    coordinator: Coordinator,
    caller: Caller,
    run_id: str,
    limit: Limit = 100,
    after: After = 0,
    accept: Accept = "application/json",
    last_event_id: LastEventId = "",
) -> Page[Event] | Response:
    """Events of a run, oldest first. A stream ends after the last one, and with the key or session behind it."""
    if last_event_id:
        after = int(last_event_id)
    if "text/event-stream" in accept:
        # Before the answer begins, so that an unknown run is a 404 and not an empty stream.
        await coordinator.glances.of(run_id)
        still_in = await coordinator.door.watched(caller, request.headers)
        events = _stream(coordinator, request.app.state.stopping, still_in, run_id, after)
        return EventSourceResponse(events, headers={"Cache-Control": "no-store"})
    found = await run_in_threadpool(_read, coordinator, run_id, after, limit + 1)
    return paged(found, limit, [str(event.id) for event in found])


def _read(context: Context, run_id: str, after: int, limit: int) -> list[Event]:
    with context.store.reading() as tx:
        tx.runs.state(run_id)
        return tx.events.after(run_id, after, limit)


async def _stream(
    context: Context, stopping: threading.Event, still_in: StillIn, run_id: str, after: int
) -> AsyncIterator[bytes]:
    quiet_since = looked = time.monotonic()
    # A client resumes after the last id that it has seen, so a stream may end at any time.
    while not stopping.is_set():
        try:
            # Each follower has a key of its own, so this look is nobody else's.
            if time.monotonic() - looked >= STILL_IN_SECONDS:
                looked = time.monotonic()
                if not await still_in():
                    return
            glance = await context.glances.of(run_id)
            news = glance.last > after
            found = await run_in_threadpool(_read, context, run_id, after, BATCH) if news else []
        # NotFound: the run was deleted as soon as it had ended.
        except (NotFound, Unavailable):
            return
        for event in found:
            yield format_sse_event(id=str(event.id), event=event.type, data_str=event.model_dump_json())
            after, quiet_since = event.id, time.monotonic()
        if glance.state in ENDED and len(found) < BATCH:
            return
        if time.monotonic() - quiet_since >= KEEPALIVE_SECONDS:
            yield KEEPALIVE_COMMENT
            quiet_since = time.monotonic()
        if len(found) < BATCH:
            await asyncio.sleep(POLL_SECONDS)
