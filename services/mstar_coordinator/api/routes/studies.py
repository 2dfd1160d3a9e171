"""`/v1/studies`: start, list, show, resume and cancel studies, and read what their finished runs left."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response
from fastapi.openapi.models import Example

from mstar.api.keys import Principal
from mstar.api.runs import Page
from mstar.api.studies import StudyCreate, StudyRunView, StudyView
from mstar.evolution import RunState
from mstar.recipes import Recipe
from mstar.study.plan import Study, parse_study
from mstar.study.record import StudyRun, record_of
from mstar.study.same_recipe import recipe_values
from mstar.study.states import StudyState
from mstar_coordinator.api.routes.context import After, Caller, Context, Coordinator, Limit, paged
from mstar_coordinator.api.routes.once import Key, answer_once, idempotency
from mstar_coordinator.api.routes.runs import admitted, places
from mstar_coordinator.scheduler.code_version import code_version
from mstar_coordinator.scheduler.folder_looks import FolderLooks
from mstar_coordinator.store.database import Transaction
from mstar_coordinator.store.records import StudyEntry, StudyRecord
from mstar_web.bodies import JsonRoute

router = APIRouter(prefix="/v1/studies", tags=["studies"], route_class=JsonRoute)

EXAMPLES = {
    "two arms": Example(
        value={
            "study": {
                "name": "mine",
                "base": "demo",
                "arms": {"all": {"prm": None, "evolution": {"selection": {"mode": "all"}}}, "top-2": {}},
                "seeds": [0, 1],
                "contrasts": [{"a": "top-2", "b": "all"}],
            }
        }
    )
}


@router.post("", status_code=202)
def start_study(
    coordinator: Coordinator,
    caller: Caller,
    response: Response,
    request: Annotated[StudyCreate, Body(openapi_examples=EXAMPLES)],
    key: Key = None,
) -> StudyView:
    """Check every arm of a study as a run is checked, and take it on. Its runs are done one at a time."""
    bound = idempotency(key, "studies", request.model_dump_json(), caller)

    def begin() -> str:
        study, runs = _planned(coordinator, request, caller)
        return coordinator.studies.create(study, runs, bound, caller.project)

    view = answer_once(coordinator, bound, StudyView, begin, lambda study_id: show_study(coordinator, study_id))
    response.headers["Location"] = f"/v1/studies/{view.id}"
    return view


@router.get("")
def list_studies(
    coordinator: Coordinator,
    caller: Caller,
    limit: Limit = 20,
    after: Annotated[str | None, Query(max_length=40, description="`last_id` of the page before.")] = None,
) -> Page[StudyView]:
    """Studies of the caller's project, newest first."""
    with coordinator.store.reading() as tx:
        found = [_view(tx, study) for study in tx.studies.page(caller.view, after, limit + 1)]
    return paged(found, limit, [one.id for one in found])


@router.get("/{study_id}")
def get_study(coordinator: Coordinator, study_id: str) -> StudyView:
    """One study with the states of its runs."""
    return show_study(coordinator, study_id)


@router.get("/{study_id}/results")
def list_study_results(coordinator: Coordinator, study_id: str, limit: Limit = 20, after: After = -1) -> Page[StudyRun]:
    """What is kept of each finished run, in the order of the runs; `after` counts their places from 0."""
    with coordinator.store.reading() as tx:
        study = tx.studies.get(study_id)
        ended = [one for one in tx.studies.entries(study_id) if one.state is RunState.SUCCEEDED]
        later = [one for one in ended if one.position > after][: limit + 1]
        found = [_record(coordinator, tx, study, one) for one in later]
    return paged(found, limit, [str(one.position) for one in later])


@router.post("/{study_id}/resume")
def resume_study(coordinator: Coordinator, study_id: str) -> StudyView:
    """Retry the failed runs of a study, and continue with the rest."""
    coordinator.studies.resume(study_id)
    return show_study(coordinator, study_id)


@router.post("/{study_id}/cancel")
def cancel_study(coordinator: Coordinator, study_id: str) -> StudyView:
    """End a study and its run that is under way. What was made so far stays."""
    coordinator.studies.cancel(study_id)
    return show_study(coordinator, study_id)


def _planned(coordinator: Context, request: StudyCreate, caller: Principal) -> tuple[Study, list[tuple[str, Recipe]]]:
    """The study with its base in full, and the admitted recipe of every run. Raises what admission raises."""
    study = parse_study(request.study)
    base = coordinator.recipes.values(study.base)
    study = study.model_copy(update={"base": base})
    wanted = study.chosen([(one.arm, one.seed) for one in request.runs])
    arms = dict.fromkeys(arm for arm, _ in wanted)
    looks = FolderLooks(coordinator.models.clock, coordinator.models.seconds)
    # With one seed of each arm, since admission does not look at the seed.
    checked = {arm: admitted(coordinator, study.recipe(base, arm, study.seeds[0]), caller, looks) for arm in arms}
    # All arms at once: what they share is looked at once, and the request takes no longer than one that starts a run.
    coordinator.models.check(*checked.values())
    coordinator.data.check(*checked.values(), reach=places(coordinator, caller).reach)
    return study, [(arm, checked[arm].model_copy(update={"seed": seed})) for arm, seed in wanted]


def finished_runs(coordinator: Context, study_id: str) -> list[StudyRun]:
    """What is kept of every finished run of a study, in the order of the runs. Raises NotFound."""
    with coordinator.store.reading() as tx:
        study = tx.studies.get(study_id)
        ended = [one for one in tx.studies.entries(study_id) if one.state is RunState.SUCCEEDED]
        return [_record(coordinator, tx, study, one) for one in ended]


def show_study(coordinator: Context, study_id: str) -> StudyView:
    """A study as it is now. Raises NotFound."""
    with coordinator.store.reading() as tx:
        study = tx.studies.get(study_id)
        view, turn = _view(tx, study), tx.studies.oldest_running()
    if view.state is not StudyState.RUNNING:
        return view
    return view.model_copy(update={"problem": coordinator.problem() or _held_up(view, study, turn)})


def _held_up(view: StudyView, study: StudyRecord, turn: StudyRecord | None) -> str | None:
    """Why a running study does not go on: one of its runs is paused, or `turn`, whose turn it is, is another one."""
    for one in view.runs:
        if one.state is RunState.PAUSED:
            return f"run {one.run} ({one.arm}, seed {one.seed}) is paused: mstar run resume {one.run}"
    if turn is None or turn.id == study.id:
        return None
    # Another project's name and id are not for those who may see this one.
    other = f"{turn.name} ({turn.id})" if turn.project == study.project else "a study of another project"
    return f"studies are run one after the other, and {other} began before this one"


def _view(tx: Transaction, study: StudyRecord) -> StudyView:
    return StudyView(
        id=study.id,
        name=study.name,
        state=study.state,
        error=study.error,
        created_at=study.created_at,
        updated_at=study.updated_at,
        study=study.plan,
        runs=tuple(
            StudyRunView(arm=one.arm, seed=one.recipe.seed, run=one.run_id, state=one.state, error=one.error)
            for one in tx.studies.entries(study.id)
        ),
    )


def _record(coordinator: Context, tx: Transaction, study: StudyRecord, entry: StudyEntry) -> StudyRun:
    assert entry.run_id is not None
    base: dict[str, Any] = study.plan.base if isinstance(study.plan.base, dict) else {}
    planned = study.plan.recipe(base, entry.arm, entry.recipe.seed)
    steps = tx.steps.of_run(entry.run_id)
    return record_of(
        study.name,
        entry.arm,
        coordinator.folders.results(tx, tx.runs.get(entry.run_id)),
        [step.result for step in steps],
        recipe=recipe_values(planned),
        code=code_version(),
        reused=sum(step.result is not None and step.claimed_at is None for step in steps),
    )
