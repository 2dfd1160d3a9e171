"""What a run has made so far: steps, results, checkpoints, samples and the report."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse

from mstar.api.live import LiveRun
from mstar.api.runs import Checkpoint, Page, StepView
from mstar.api.samples import QuestionSamples
from mstar.errors import NotFound
from mstar.results import RunResults
from mstar_coordinator.api.live import live_view
from mstar_coordinator.api.routes.context import After, Coordinator, Limit, paged
from mstar_coordinator.api.samples import read_samples, stages_of
from mstar_coordinator.api.views import checkpoint_view, step_view
from mstar_web.bodies import JsonRoute

# The report shows what models and data sets wrote, so nothing in it may run or load.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["outputs"], route_class=JsonRoute)


@router.get("/steps")
def list_steps(coordinator: Coordinator, run_id: str, limit: Limit = 100, after: After = -1) -> Page[StepView]:
    """Steps of the run's graph, in order; `after` counts positions from 0."""
    with coordinator.store.reading() as tx:
        tx.runs.get(run_id)
        found = tx.steps.page(run_id, after, limit + 1)
    return paged([step_view(step) for step in found], limit, [str(step.position) for step in found])


@router.get("/live")
def get_live(coordinator: Coordinator, run_id: str) -> LiveRun:
    """What the run does now, how fast, and a map of its stages with what each waits for."""
    with coordinator.store.reading() as tx:
        return live_view(tx, run_id)


@router.get("/results")
def get_results(coordinator: Coordinator, run_id: str) -> RunResults:
    """Everything measured so far: the content of the run's results.json."""
    with coordinator.store.reading() as tx:
        return coordinator.folders.results(tx, tx.runs.get(run_id))


@router.get("/checkpoints")
def list_checkpoints(coordinator: Coordinator, run_id: str) -> Page[Checkpoint]:
    """Checkpoints of policy and PRM, in the order in which they are made."""
    with coordinator.store.reading() as tx:
        tx.runs.get(run_id)
        found = [checkpoint_view(step) for step in tx.steps.done(run_id, ("train",))]
    return paged(found, len(found), [checkpoint.id for checkpoint in found])


@router.get("/samples")
def list_samples(
    coordinator: Coordinator,
    run_id: str,
    iteration: Annotated[int, Query(ge=0, le=1000, description="0 is the warm-up.")] = 1,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: After = -1,
) -> Page[QuestionSamples]:
    """Responses that an iteration sampled, question by question, with verdicts and step scores."""
    generate, score = stages_of(iteration)
    with coordinator.store.reading() as tx:
        tx.runs.get(run_id)
        shards = tx.steps.done_in_stage(run_id, generate)
        scores = tx.steps.done_in_stage(run_id, score)
    found = read_samples(coordinator.artefacts, shards, scores, after, limit + 1)
    return paged(found, limit, [str(one.place) for one in found])


@router.get("/report", response_class=FileResponse)
def get_report(coordinator: Coordinator, run_id: str) -> FileResponse:
    """The report as one HTML file; written when the run publishes, or when it fails or is cancelled before."""
    with coordinator.store.reading() as tx:
        run = tx.runs.get(run_id)
    path = coordinator.folders.path(run.id) / "report.html"
    if not path.is_file():
        raise NotFound(f"run {run.id} has no report yet: it is written at the end", field="run_id")
    # From the folder and not from an artefact: a run that was cut short has a report too.
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})
