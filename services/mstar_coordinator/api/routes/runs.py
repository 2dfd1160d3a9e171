"""`/v1/runs` and `/v1/recipes`: start, list, show, pause, resume, repair, cancel."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Body, Query, Response
from fastapi.openapi.models import Example

from mstar.api.keys import Principal
from mstar.api.runs import Damage, DeletedRun, NamedRecipe, Page, RepairedRun, Run, RunChange, RunCreate
from mstar.evolution import RunState
from mstar.recipes import Recipe
from mstar_coordinator.api.routes.context import Caller, Context, Coordinator, Limit, paged
from mstar_coordinator.api.routes.once import Key, answer_once, idempotency
from mstar_coordinator.api.views import run_view, run_views
from mstar_coordinator.cluster.workloads import training_nodes
from mstar_coordinator.scheduler.admission import Trainers, admit
from mstar_coordinator.scheduler.data_places import DataPlaces, places_of
from mstar_coordinator.scheduler.folder_looks import FolderLooks
from mstar_coordinator.scheduler.repair import Findings
from mstar_coordinator.store.records import IdempotencyKey
from mstar_coordinator.store.run_tags import RunFilter
from mstar_coordinator.tracking.sinks import require_installed
from mstar_web.bodies import JsonRoute

router = APIRouter(prefix="/v1", tags=["runs"], route_class=JsonRoute)

EXAMPLES = {
    "by name": Example(value={"recipe": "demo", "overrides": {"evolution.iterations": 2, "seed": 7}}),
    "inline": Example(value={"recipe": {"name": "mine", "evolution": {"iterations": 1, "n": 4}}}),
}


def admitted(context: Context, recipe: Recipe, caller: Principal, looks: FolderLooks | None = None) -> Recipe:
    """The recipe as it can be run here, with absolute paths. Raises what `admit` raises.

    `looks`: what the same request has found out about model folders, where it admits several recipes.
    """
    settings = context.settings
    require_installed(recipe.tracking)
    return admit(
        recipe,
        places(context, caller),
        settings.home,
        settings.reserve_bytes,
        Trainers(training_nodes(settings), settings.training_gpu_gb, settings.training_four_bit),
        remote=settings.artefacts is not None,
        allowed=settings.allowed_types,
        looks=looks,
    )


def places(context: Context, caller: Principal) -> DataPlaces:
    """Where a caller's recipes may read."""

    def owner(run_id: str) -> str | None:
        with context.store.reading() as tx:
            return tx.runs.project_of(run_id)

    return places_of(caller.project, context.settings.data_root, context.settings.home, owner)


def show(context: Context, run_id: str) -> Run:
    """A run as it is now. Raises NotFound."""
    with context.store.reading() as tx:
        run = run_view(tx, tx.runs.get(run_id))
    # Only where it holds the run up: one that has ended waits for nothing.
    problem = context.problem() if run.state is RunState.RUNNING else None
    return run if problem is None else run.model_copy(update={"problem": problem})


@router.post("/runs", status_code=202)
def start_run(
    coordinator: Coordinator,
    caller: Caller,
    response: Response,
    request: Annotated[RunCreate, Body(openapi_examples=EXAMPLES)],
    key: Key = None,
) -> Run:
    """Check a recipe, its data and its model, and start a run. Nothing is started unless all checks pass."""
    bound = idempotency(key, "runs", request.model_dump_json(), caller)

    def begin() -> str:
        recipe = admitted(coordinator, coordinator.recipes.read(request.recipe, request.overrides), caller)
        # After `admitted`, which reads a few small files: these two take up to minutes.
        reach = places(coordinator, caller).reach
        notes = coordinator.models.check(recipe), coordinator.data.check(recipe, reach=reach)
        note = "; ".join(filter(None, notes))
        return coordinator.lifecycle.create(recipe, bound, note=note, project=caller.project)

    run = answer_once(
        coordinator,
        bound,
        Run,
        begin,
        lambda run_id: show(coordinator, run_id),
    )
    response.headers["Location"] = f"/v1/runs/{run.id}"
    return run


@router.get("/runs")
def list_runs(
    coordinator: Coordinator,
    caller: Caller,
    limit: Limit = 20,
    after: Annotated[str | None, Query(max_length=40, description="`last_id` of the page before.")] = None,
    state: Annotated[RunState | None, Query(description="Only runs in this state.")] = None,
    tag: Annotated[str | None, Query(max_length=40, description="Only runs with this tag.")] = None,
    text: Annotated[str | None, Query(max_length=80, description="Part of the name or the id.")] = None,
    archived: Annotated[bool, Query(description="Archived runs as well.")] = False,
) -> Page[Run]:
    """Runs of the caller's project, newest first."""
    wanted = RunFilter(caller.view, state, tag or None, text or None, archived)
    with coordinator.store.reading() as tx:
        found = run_views(tx, tx.runs.several(tx.tags.page(wanted, after, limit + 1)))
    return paged(found, limit, [run.id for run in found])


@router.get("/runs/{run_id}")
def get_run(coordinator: Coordinator, run_id: str) -> Run:
    """One run with its progress."""
    return show(coordinator, run_id)


@router.patch("/runs/{run_id}")
def change_run(coordinator: Coordinator, run_id: str, request: Annotated[RunChange, Body()]) -> Run:
    """Replace a run's tags. The tag `archived` leaves it out of the list; nothing else of it changes."""
    with coordinator.store.writing() as tx:
        # Tags are removed and written anew: two changes at once would leave a mixture.
        tx.runs.lock(run_id)
        tx.tags.set(run_id, request.tags)
    return show(coordinator, run_id)


@router.delete("/runs/{run_id}")
def delete_run(
    coordinator: Coordinator,
    run_id: str,
    confirm: Annotated[str, Query(max_length=40, description="The run's id once more: this cannot be undone.")] = "",
) -> DeletedRun:
    """Delete a run that has ended, with all that it made. 409 while it goes on, or where another run needs it."""
    coordinator.removal.delete(run_id, confirm)
    return DeletedRun(id=run_id)


@router.post("/runs/{run_id}/pause")
def pause_run(coordinator: Coordinator, run_id: str) -> Run:
    """Let the steps in progress finish and start no other."""
    coordinator.lifecycle.pause(run_id)
    return show(coordinator, run_id)


@router.post("/runs/{run_id}/resume")
def resume_run(coordinator: Coordinator, caller: Caller, run_id: str, key: Key = None) -> RepairedRun:
    """Go on with a paused or failed run. What the rest of it reads is checked first, and made again where damaged."""
    return _once_repaired(
        coordinator, run_id, coordinator.repair.resume, idempotency(key, f"resume/{run_id}", "", caller)
    )


@router.post("/runs/{run_id}/repair")
def repair_run(coordinator: Coordinator, caller: Caller, run_id: str, key: Key = None) -> RepairedRun:
    """Check every artefact of a run, and have damaged ones made again; a run that has ended goes on for that."""
    return _once_repaired(
        coordinator, run_id, coordinator.repair.repair, idempotency(key, f"repair/{run_id}", "", caller)
    )


@router.post("/runs/{run_id}/cancel")
def cancel_run(coordinator: Coordinator, run_id: str) -> Run:
    """End a run for good. What it made so far stays."""
    coordinator.lifecycle.cancel(run_id)
    return show(coordinator, run_id)


@router.get("/recipes")
def list_recipes(coordinator: Coordinator) -> Page[NamedRecipe]:
    """Recipes that can be started by name."""
    found = coordinator.recipes.all()
    return paged(found, len(found), [recipe.name for recipe in found])


def _once_repaired(
    context: Context, run_id: str, repair: Callable[[str], Findings], key: IdempotencyKey | None
) -> RepairedRun:
    # Empty only where a crash has kept the first answer from being stored: the work is done then, not its report.
    found = Findings(0, {})

    def begin() -> str:
        nonlocal found
        found = repair(run_id)
        return run_id

    def answer(_: str) -> RepairedRun:
        damaged = tuple(Damage(step=step, reason=loss.reason) for step, loss in found.lost.items())
        return RepairedRun(**dict(show(context, run_id)), checked=found.checked, damaged=damaged)

    return answer_once(context, key, RepairedRun, begin, answer)
