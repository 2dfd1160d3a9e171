"""`/compare` and `/studies…`: runs side by side, and what a study found."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from markupsafe import Markup
from starlette.responses import HTMLResponse

from mstar.errors import InvalidInput
from mstar.evolution import RunState
from mstar.study.page import study_sections
from mstar.study.summary import summarise
from mstar_coordinator.api.pages.compared import compared
from mstar_coordinator.api.pages.rendering import page
from mstar_coordinator.api.pages.views import moment
from mstar_coordinator.api.routes.context import Caller, Coordinator
from mstar_coordinator.api.routes.studies import finished_runs, show_study
from mstar_coordinator.store.runs import no_run

MOST_RUNS = 64
"""Compared on one page: eight arms over eight seeds."""
STUDIES_ON_A_PAGE = 50

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/compare")
def compare_page(
    coordinator: Coordinator,
    caller: Caller,
    run: Annotated[list[Annotated[str, Query(max_length=40)]] | None, Query(max_length=MOST_RUNS)] = None,
) -> HTMLResponse:
    """Runs that are named in the address, `?run=…&run=…`, the others against the first."""
    chosen = list(dict.fromkeys(run or ()))
    with coordinator.store.reading() as tx:
        for run_id in chosen:
            # A name in the query is not a path parameter, so `owners` has not looked at it.
            owner = tx.runs.project_of(run_id)
            if owner is None or caller.view not in (None, owner):
                raise no_run(run_id)
        runs = [tx.runs.get(run_id) for run_id in chosen]
        for one in runs:
            if one.recipe.measure is not None:
                detail = f"{one.id} is an evaluation: compare it with another by `mstar eval … --against FOLDER`"
                raise InvalidInput(detail, field="run")
        results = [coordinator.folders.results(tx, one) for one in runs]
    found = compared(results) if len(results) > 1 else None
    firsts = [] if found is None else [_first(chosen, [one.id for one in group.runs]) for group in found.groups]
    return page("compare.html.j2", found=found, firsts=firsts, chosen=chosen)


def _first(chosen: list[str], ids: list[str]) -> str:
    """The query of the same page with other runs first."""
    return urlencode({"run": [*ids, *(one for one in chosen if one not in ids)]}, doseq=True)


@router.get("/studies")
def studies_page(
    coordinator: Coordinator,
    caller: Caller,
    after: Annotated[str | None, Query(max_length=40, pattern="^[a-z0-9-]*$")] = None,
) -> HTMLResponse:
    """Studies, newest first."""
    with coordinator.store.reading() as tx:
        found = tx.studies.page(caller.view, after or None, STUDIES_ON_A_PAGE + 1)
    shown = [show_study(coordinator, one.id) for one in found[:STUDIES_ON_A_PAGE]]
    more = shown[-1].id if len(found) > len(shown) else None
    lines = [(one, moment(one.created_at), sum(run.state is RunState.SUCCEEDED for run in one.runs)) for one in shown]
    return page("studies.html.j2", lines=lines, more=more)


@router.get("/studies/{study_id}")
def study_page(coordinator: Coordinator, study_id: str) -> HTMLResponse:
    """A study: its runs, and the named comparisons as far as they have been run."""
    study = show_study(coordinator, study_id)
    ended = [run.run for run in study.runs if run.run is not None and run.state is RunState.SUCCEEDED]
    found, problem = Markup(""), None
    if ended:
        runs = finished_runs(coordinator, study_id)
        try:
            # Our own HTML, in which every text of a file is escaped.
            found = Markup(study_sections(study.study, summarise(study.study, runs), runs))  # noqa: S704
        except InvalidInput as error:
            problem = error.detail
    same = urlencode({"run": ended[:MOST_RUNS]}, doseq=True) if len(ended) > 1 else None
    return page("study.html.j2", study=study, found=found, problem=problem, same=same, ended=len(ended))
