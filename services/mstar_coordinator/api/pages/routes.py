"""`/` and `/runs…`: HTML made on the server from the same values as the API; nothing is loaded from another host.

What a model or a data set wrote is escaped by the templates. What this leaves out: signing in (`sign_in`).
"""

import time
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, Query
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from mstar.api.live import spoken_rates
from mstar.evolution import RunState
from mstar.results import RunResults
from mstar_coordinator.api.live import live_view
from mstar_coordinator.api.pages import comparing, responses, scoring, starting, steps
from mstar_coordinator.api.pages.rendering import page
from mstar_coordinator.api.pages.step_map import SERVICES, phases
from mstar_coordinator.api.pages.views import run_line, sweep_map
from mstar_coordinator.api.routes.context import Caller, Context, Coordinator
from mstar_coordinator.api.routes.runs import show
from mstar_coordinator.export.report import figures
from mstar_coordinator.store.records import RunRecord
from mstar_coordinator.store.run_tags import RunFilter

RUNS_ON_A_PAGE = 50
EVENTS_SHOWN = 12
STATES = tuple(state.value for state in RunState)
router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


def add_pages(app: FastAPI) -> None:
    """Add the pages and their files."""
    for pages in (router, responses.router, starting.router, comparing.router, scoring.router, steps.router):
        app.include_router(pages)
    app.mount("/files", StaticFiles(directory=Path(__file__).parent / "static"), name="files")


@router.get("/")
def home() -> RedirectResponse:
    """The first page."""
    # Relative, so that it holds behind a proxy that serves this below a path.
    return RedirectResponse("runs")


@router.get("/runs")
def runs_page(
    coordinator: Coordinator,
    caller: Caller,
    after: Annotated[str | None, Query(max_length=40, pattern="^[a-z0-9-]*$")] = None,
    state: Annotated[str | None, Query(pattern=f"^({'|'.join(STATES)})?$")] = None,
    tag: Annotated[str | None, Query(max_length=40)] = None,
    text: Annotated[str | None, Query(max_length=80)] = None,
    archived: bool = False,
) -> HTMLResponse:
    """Runs, newest first, those that a filter means."""
    wanted = RunFilter(caller.view, RunState(state) if state else None, tag or None, text or None, archived)
    with coordinator.store.reading() as tx:
        ids = tx.tags.page(wanted, after or None, RUNS_ON_A_PAGE + 1)
        results = [coordinator.folders.results(tx, tx.runs.get(run_id)) for run_id in ids[:RUNS_ON_A_PAGE]]
        tags = tx.tags.all(caller.view)
    now = time.time()
    lines = [run_line(show(coordinator, one.id), one, now) for one in results]
    given = {"state": state, "tag": tag, "text": text, "archived": "true" if archived else None}
    asked = {name: value for name, value in given.items() if value}
    more = urlencode(asked | {"after": ids[RUNS_ON_A_PAGE - 1]}) if len(ids) > RUNS_ON_A_PAGE else None
    return page("runs.html.j2", lines=lines, more=more, asked=asked, states=STATES, tags=tags)


@router.get("/runs/{run_id}")
def run_page(coordinator: Coordinator, run_id: str) -> HTMLResponse:
    """One run; its script fetches `…/now` again whenever an event arrives."""
    return page("run.html.j2", **_now(coordinator, run_id))


@router.get("/runs/{run_id}/now")
def run_now(coordinator: Coordinator, run_id: str) -> HTMLResponse:
    """The part of a run's page that changes."""
    return page("now.html.j2", **_now(coordinator, run_id))


def _now(context: Context, run_id: str) -> dict[str, object]:
    with context.store.reading() as tx:
        record: RunRecord = tx.runs.get(run_id)
        results: RunResults = context.folders.results(tx, record)
        last = tx.events.last_id(run_id)
        events = tx.events.after(run_id, max(0, last - EVENTS_SHOWN), EVENTS_SHOWN)
        live = live_view(tx, run_id)
    run = show(context, run_id)
    return {
        "run": run,
        "line": run_line(run, results, time.time()),
        "events": events[::-1],
        "last_event": last,
        "live": live,
        "services": SERVICES,
        "rates": spoken_rates(live.rates),
        "phases": phases(live.stages),
        "map": sweep_map(results),
        "downloads": context.files.there(context.folders.path(run_id)),
        **figures(results),
    }
