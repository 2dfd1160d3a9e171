"""`/` and `/runs…`: HTML made on the server from the same values as the API; nothing is loaded from another host.

What a model or a data set wrote is escaped by the templates. What this leaves out: signing in (`sign_in`).
"""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from mstar.results import RunResults
from mstar_coordinator.api.pages import responses
from mstar_coordinator.api.pages.rendering import page
from mstar_coordinator.api.pages.views import run_line, sweep_map
from mstar_coordinator.api.routes.context import Caller, Context, Coordinator
from mstar_coordinator.api.routes.runs import show
from mstar_coordinator.export.report import figures
from mstar_coordinator.store.records import RunRecord

RUNS_ON_A_PAGE = 50
EVENTS_SHOWN = 12
router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


def add_pages(app: FastAPI) -> None:
    """Add the pages and their files."""
    for pages in (router, responses.router):
        app.include_router(pages)
    app.mount("/files", StaticFiles(directory=Path(__file__).parent / "static"), name="files")


@router.get("/")
def home() -> RedirectResponse:
    """The first page."""
    return RedirectResponse("runs")


@router.get("/runs")
def runs_page(
    coordinator: Coordinator,
    caller: Caller,
    after: Annotated[str | None, Query(max_length=40, pattern="^[a-z0-9-]+$")] = None,
) -> HTMLResponse:
    """Runs, newest first."""
    with coordinator.store.reading() as tx:
        records = tx.runs.page(caller.view, after, RUNS_ON_A_PAGE + 1)
        results = [coordinator.folders.results(tx, record) for record in records[:RUNS_ON_A_PAGE]]
    lines = [run_line(show(coordinator, one.id), one) for one in results]
    more = records[RUNS_ON_A_PAGE - 1].id if len(records) > RUNS_ON_A_PAGE else None
    return page("runs.html.j2", lines=lines, more=more)


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
    run = show(context, run_id)
    return {
        "run": run,
        "line": run_line(run, results),
        "events": events[::-1],
        "last_event": last,
        "map": sweep_map(results),
        "downloads": context.files.there(context.folders.path(run_id)),
        **figures(results),
    }
