"""`/runs/{id}/steps`: the steps of a stage, and one step with what it needs, what it left and its log."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import HTMLResponse

from mstar.errors import NotFound
from mstar_coordinator.api.pages.rendering import page
from mstar_coordinator.api.routes.context import Coordinator
from mstar_coordinator.api.step_log import step_log
from mstar_coordinator.api.views import step_view
from mstar_coordinator.store.records import StepRecord

SHOWN = 200
EVENTS = 50
RESULT = 4000
"""Characters of a step's result that are shown; all of it is in the events."""

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
Name = Annotated[str | None, Query(max_length=160)]


@router.get("/runs/{run_id}/steps")
def steps_page(coordinator: Coordinator, run_id: str, stage: Name = None, step: Name = None) -> HTMLResponse:
    """`stage`: its steps; `step`: this one."""
    if step:
        return _one(coordinator, run_id, step)
    with coordinator.store.reading() as tx:
        run = tx.runs.get(run_id)
        found = tx.steps.of_stage(run_id, stage or "")
    if not found:
        raise NotFound(f"run {run_id} has no stage {(stage or '')[:120]!r}", field="stage")
    shown = [step_view(one) for one in found[:SHOWN]]
    return page(
        "steps.html.j2", run=run, stage=stage, step=None, steps=shown, more=len(found) > SHOWN, total=len(found)
    )


def _one(coordinator: Coordinator, run_id: str, name: str) -> HTMLResponse:
    with coordinator.store.reading() as tx:
        run = tx.runs.get(run_id)
        step: StepRecord = tx.steps.named(run_id, name)
        needs = tx.steps.needs_of(step.id)
        events = tx.events.about(run_id, name, EVENTS)
    result = None if step.result is None else step.result.model_dump_json(indent=1, exclude={"marks", "losses"})
    return page(
        "steps.html.j2",
        run=run,
        stage=step.stage,
        step=step_view(step),
        needs=[step_view(one) for one in needs[:SHOWN]],
        result=result and result[:RESULT],
        events=events,
        lines=step_log(coordinator.settings.home.absolute() / ".mstar" / "logs", run_id, name),
    )
