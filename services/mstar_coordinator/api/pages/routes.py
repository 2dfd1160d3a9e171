"""`/` and `/runs…`: HTML made on the server from the same values as the API; nothing is loaded from another host.

What a model or a data set wrote is escaped by the templates. What this leaves out: signing in (`sign_in`).
"""

import time
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from mstar.api.keys import Principal, Role
from mstar.api.live import spoken_memory, spoken_rates
from mstar.api.runs import Run
from mstar_coordinator.api.live import live_view
from mstar_coordinator.api.pages import comparing, evaluations, responses, scoring, starting, steps
from mstar_coordinator.api.pages.evaluations import evaluation_values
from mstar_coordinator.api.pages.listing import STATES, Asked
from mstar_coordinator.api.pages.rendering import page
from mstar_coordinator.api.pages.step_map import SERVICES, phases
from mstar_coordinator.api.pages.views import done_percent, run_line, sweep_map
from mstar_coordinator.api.routes.context import Caller, Context, Coordinator
from mstar_coordinator.api.routes.evaluations import show as show_evaluation
from mstar_coordinator.api.routes.runs import show
from mstar_coordinator.api.views import run_views
from mstar_coordinator.export.report import figures

EVENTS_SHOWN = 12
router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


def add_pages(app: FastAPI) -> None:
    """Add the pages and their files."""
    for one in (evaluations, responses, starting, comparing, scoring, steps):
        app.include_router(one.router)
    app.include_router(router)
    app.mount("/files", StaticFiles(directory=Path(__file__).parent / "static"), name="files")


@router.get("/")
def home() -> RedirectResponse:
    """The first page."""
    # Relative, so that it holds behind a proxy that serves this below a path.
    return RedirectResponse("runs")


@router.get("/runs")
def runs_page(coordinator: Coordinator, caller: Caller, listed: Asked) -> HTMLResponse:
    """Runs, newest first, those that a filter means."""
    with coordinator.store.reading() as tx:
        ids, more = listed.page(tx, caller.view)
        runs = tx.runs.several(ids)
        shown = zip(run_views(tx, runs), [coordinator.folders.results(tx, one) for one in runs], strict=True)
        tags = tx.tags.all(caller.view)
    now = time.time()
    lines = [run_line(run, results, now) for run, results in shown]
    may_change = Role.RUN_ADMIN in caller.roles
    return page(
        "runs.html.j2", lines=lines, more=more, asked=listed.asked, states=STATES, tags=tags, may_change=may_change
    )


@router.get("/runs/{run_id}")
def run_page(coordinator: Coordinator, caller: Caller, run_id: str) -> HTMLResponse:
    """One run or evaluation; its script fetches `…/now` again whenever an event arrives."""
    return page("run.html.j2", **_now(coordinator, caller, run_id))


@router.get("/runs/{run_id}/now")
def run_now(coordinator: Coordinator, caller: Caller, run_id: str) -> HTMLResponse:
    """The part of a run's page that changes."""
    values = _now(coordinator, caller, run_id)
    return page(str(values["part"]), **values)


def _now(context: Context, caller: Principal, run_id: str) -> dict[str, object]:
    """What the page of a run shows; `part` is the template of what changes."""
    with context.store.reading() as tx:
        last = tx.events.last_id(run_id)
        events = tx.events.after(run_id, max(0, last - EVENTS_SHOWN), EVENTS_SHOWN)
        live = live_view(tx, run_id)
    # After the events: a change between the two is shown, and its event fetches the page once more.
    run = show(context, run_id)
    own = _of_run(context, run) if run.recipe.measure is None else _of_evaluation(context, run)
    return {
        "run": run,
        # Who may only read is offered no button that would be refused.
        "may_change": Role.RUN_ADMIN in caller.roles,
        "percent": done_percent(run.progress),
        "events": events[::-1],
        "last_event": last,
        "live": live,
        "services": SERVICES,
        "rates": spoken_rates(live.rates),
        "spoken_memory": spoken_memory,
        "phases": phases(live.stages),
        "downloads": context.files.there(context.folders.path(run_id)),
        **own,
    }


def _of_run(context: Context, run: Run) -> dict[str, object]:
    with context.store.reading() as tx:
        results = context.folders.results(tx, tx.runs.get(run.id))
    line = run_line(run, results, time.time())
    return {"part": "now.html.j2", "listed_at": "/runs", "line": line, "map": sweep_map(results), **figures(results)}


def _of_evaluation(context: Context, run: Run) -> dict[str, object]:
    values = evaluation_values(show_evaluation(context, run.id), run.recipe)
    return {"part": "evaluation.html.j2", "listed_at": "/evaluations", **values}
