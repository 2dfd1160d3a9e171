"""`/v1/evaluations`: measure a model on published benchmarks, through the queues of runs."""

from typing import Annotated

from fastapi import APIRouter, Body, Query, Response

from mstar.api.evaluations import Evaluation, EvaluationCreate
from mstar.api.keys import Principal
from mstar.api.runs import Page
from mstar.evolution import RunState
from mstar.recipes import Recipe
from mstar_coordinator.api.routes.context import Caller, Context, Coordinator, Limit, paged
from mstar_coordinator.api.routes.once import Key, answer_once, idempotency
from mstar_coordinator.api.routes.runs import admitted, places
from mstar_coordinator.api.views import evaluation_view
from mstar_coordinator.scheduler.evaluation_admission import evaluation_recipe, weights_of_folder, weights_of_run
from mstar_coordinator.store.run_tags import RunFilter
from mstar_coordinator.store.runs import no_evaluation
from mstar_web.bodies import JsonRoute

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"], route_class=JsonRoute)


@router.post("", status_code=202)
def start_evaluation(
    coordinator: Coordinator,
    caller: Caller,
    response: Response,
    request: Annotated[EvaluationCreate, Body()],
    key: Key = None,
) -> Evaluation:
    """Check model, PRM and every file of the benchmarks, and start. Nothing is started unless all checks pass."""
    bound = idempotency(key, "evaluations", request.model_dump_json(), caller)

    def begin() -> str:
        recipe = admitted(coordinator, _recipe(coordinator, request, caller), caller)
        note = coordinator.models.check(recipe)
        return coordinator.lifecycle.create(recipe, bound, note=note, project=caller.project)

    made = answer_once(coordinator, bound, Evaluation, begin, lambda made_id: show(coordinator, made_id))
    response.headers["Location"] = f"/v1/evaluations/{made.id}"
    return made


@router.get("")
def list_evaluations(
    coordinator: Coordinator,
    caller: Caller,
    limit: Limit = 20,
    after: Annotated[str | None, Query(max_length=40, description="`last_id` of the page before.")] = None,
    state: Annotated[RunState | None, Query(description="Only evaluations in this state.")] = None,
) -> Page[Evaluation]:
    """Evaluations of the caller's project, newest first."""
    wanted = RunFilter(caller.view, state, archived=True, evaluations=True)
    with coordinator.store.reading() as tx:
        found = [evaluation_view(tx, tx.runs.get(one)) for one in tx.tags.page(wanted, after, limit + 1)]
    return paged(found, limit, [one.id for one in found])


@router.get("/{evaluation_id}")
def get_evaluation(coordinator: Coordinator, evaluation_id: str) -> Evaluation:
    """How far it is, and its tables once it has succeeded."""
    return show(coordinator, evaluation_id)


@router.post("/{evaluation_id}/resume")
def resume_evaluation(coordinator: Coordinator, evaluation_id: str) -> Evaluation:
    """Go on with one that failed or was paused; what is done is kept."""
    show(coordinator, evaluation_id)
    coordinator.repair.resume(evaluation_id)
    return show(coordinator, evaluation_id)


@router.post("/{evaluation_id}/cancel")
def cancel_evaluation(coordinator: Coordinator, evaluation_id: str) -> Evaluation:
    """End it for good."""
    show(coordinator, evaluation_id)
    coordinator.lifecycle.cancel(evaluation_id)
    return show(coordinator, evaluation_id)


def show(context: Context, evaluation_id: str) -> Evaluation:
    """An evaluation as it is now. Raises NotFound, also for a run that is none."""
    with context.store.reading() as tx:
        if tx.runs.project_of(evaluation_id) is None:
            raise no_evaluation(evaluation_id)
        run = tx.runs.get(evaluation_id)
        if run.recipe.measure is None:
            raise no_evaluation(evaluation_id)
        made = evaluation_view(tx, run)
    problem = context.problem() if made.state is RunState.RUNNING else None
    return made if problem is None else made.model_copy(update={"problem": problem})


def _recipe(context: Context, create: EvaluationCreate, caller: Principal) -> Recipe:
    """The evaluation as its steps read it. A run of another project is not there."""
    allowed = places(context, caller)
    with context.store.reading() as tx:
        owner = tx.runs.project_of(create.model)
        run = None
        if owner is not None and caller.view in (None, owner):
            ranks = create.samples > 1 and create.prm is None
            run = weights_of_run(tx, context.artefacts, tx.runs.get(create.model), create.checkpoint, ranks=ranks)
    return evaluation_recipe(create, run or weights_of_folder(create, allowed), allowed)
