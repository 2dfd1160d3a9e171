"""`/` and `/runs…`: HTML made on the server from the same values as the API; nothing is loaded from another host.

What a model or a data set wrote is escaped by the templates. What this leaves out: signing in (`sign_in`).
"""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from mstar.api.samples import QuestionSamples
from mstar.errors import CorruptArtefact, NotFound
from mstar.results import RunResults
from mstar.types import RolloutRow, ScoreRow
from mstar_coordinator.api.pages.views import run_line, sweep_map
from mstar_coordinator.api.routes.context import After, Context, Coordinator
from mstar_coordinator.api.routes.runs import show
from mstar_coordinator.api.samples import read_samples, stages_of
from mstar_coordinator.export.report import Sample, figures, shown
from mstar_coordinator.store.records import RunRecord

RUNS_ON_A_PAGE = 50
QUESTIONS_ON_A_PAGE = 10
EVENTS_SHOWN = 12
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""A page runs only our own script, and nobody may frame it."""

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
_templates = Environment(
    loader=PackageLoader("mstar_coordinator.api.pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def add_pages(app: FastAPI) -> None:
    """Add the pages and their files."""
    app.include_router(router)
    app.mount("/files", StaticFiles(directory=Path(__file__).parent / "static"), name="files")


@router.get("/")
def home() -> RedirectResponse:
    """The first page."""
    return RedirectResponse("runs")


@router.get("/runs")
def runs_page(
    coordinator: Coordinator, after: Annotated[str | None, Query(max_length=40, pattern="^[a-z0-9-]+$")] = None
) -> HTMLResponse:
    """Runs, newest first."""
    with coordinator.store.reading() as tx:
        records = tx.runs.page(after, RUNS_ON_A_PAGE + 1)
        results = [coordinator.folders.results(tx, record) for record in records[:RUNS_ON_A_PAGE]]
    lines = [run_line(show(coordinator, one.id), one) for one in results]
    more = records[RUNS_ON_A_PAGE - 1].id if len(records) > RUNS_ON_A_PAGE else None
    return _page("runs.html.j2", lines=lines, more=more)


@router.get("/runs/{run_id}")
def run_page(coordinator: Coordinator, run_id: str) -> HTMLResponse:
    """One run; its script fetches `…/now` again whenever an event arrives."""
    return _page("run.html.j2", **_now(coordinator, run_id))


@router.get("/runs/{run_id}/now")
def run_now(coordinator: Coordinator, run_id: str) -> HTMLResponse:
    """The part of a run's page that changes."""
    return _page("now.html.j2", **_now(coordinator, run_id))


@router.get("/runs/{run_id}/responses")
def responses_page(
    coordinator: Coordinator,
    run_id: str,
    iteration: Annotated[int, Query(ge=0, le=1000)] = 1,
    after: After = -1,
) -> HTMLResponse:
    """Responses of an iteration, question by question, with verdicts and step scores."""
    generate, score = stages_of(iteration)
    with coordinator.store.reading() as tx:
        results = coordinator.folders.results(tx, tx.runs.get(run_id))
        shards, scores = tx.steps.done_in_stage(run_id, generate), tx.steps.done_in_stage(run_id, score)
    found: list[QuestionSamples] = []
    if shards:
        found = read_samples(coordinator.artefacts, shards, scores, after, QUESTIONS_ON_A_PAGE + 1)
    page = found[:QUESTIONS_ON_A_PAGE]
    return _page(
        "responses.html.j2",
        results=results,
        iteration=iteration,
        samples=[shown(_sample(coordinator, one, iteration), results.recipe.reward_rule) for one in page],
        more=page[-1].place if len(found) > len(page) else None,
    )


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
        **figures(results),
    }


def _sample(context: Context, one: QuestionSamples, iteration: int) -> Sample:
    try:
        image = context.settings.storage().images().get(one.question.image)
    except (NotFound, CorruptArtefact):
        image = b""
    rollouts = RolloutRow(
        question=one.question,
        temperature=one.temperature,
        weight_version=one.weight_version,
        responses=tuple(sample.response for sample in one.responses),
    )
    scored = tuple(sample.scores for sample in one.responses if sample.scores is not None)
    scores = ScoreRow(question_id=one.question.id, prm_version=one.prm_version or "", responses=scored)
    return Sample(one.question, image, rollouts, scores if scored else None, frozenset(), iteration)


def _page(template: str, **values: object) -> HTMLResponse:
    return HTMLResponse(_templates.get_template(template).render(**values), headers=HEADERS)
