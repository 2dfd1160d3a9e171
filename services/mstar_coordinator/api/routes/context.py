"""What routes are given: the parts of the app, the caller, and pagination."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request

from mstar.api.keys import Principal
from mstar.api.runs import Page
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.access.door import Door
from mstar_coordinator.api.glances import Glances
from mstar_coordinator.api.recipes import RecipeBook
from mstar_coordinator.api.run_files import RunFiles
from mstar_coordinator.batches.jobs import BatchJobs
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.responses.indexer import ResponseIndexes
from mstar_coordinator.scheduler.data_admission import DataAdmission
from mstar_coordinator.scheduler.model_trial import ModelTrial
from mstar_coordinator.scheduler.removal import Removal
from mstar_coordinator.scheduler.repair import Repair
from mstar_coordinator.scheduler.run_folders import RunFolders
from mstar_coordinator.scheduler.run_lifecycle import RunLifecycle
from mstar_coordinator.scheduler.study_jobs import StudyJobs
from mstar_coordinator.store.batches import BatchRecord
from mstar_coordinator.store.database import Store
from mstar_web.auth import principal_of


@dataclass(frozen=True)
class Context:
    """The collaborators of one app."""

    settings: CoordinatorSettings
    store: Store
    artefacts: ArtefactStore
    folders: RunFolders
    recipes: RecipeBook
    lifecycle: RunLifecycle
    repair: Repair
    removal: Removal
    responses: ResponseIndexes
    studies: StudyJobs
    data: DataAdmission
    models: ModelTrial
    files: RunFiles
    problem: Callable[[], str | None]
    """What does not work now of all that runs need; never waits."""
    door: Door
    glances: Glances
    batches: BatchJobs
    batch_problem: Callable[[BatchRecord], str | None]
    """What holds a batch up now; never waits."""


def _context(request: Request) -> Context:
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


def _caller(request: Request) -> Principal:
    return principal_of(request.scope)


Item = TypeVar("Item")
Coordinator = Annotated[Context, Depends(_context)]
Caller = Annotated[Principal, Depends(_caller)]
"""Who sends the request."""
Limit = Annotated[int, Query(ge=1, le=500, description="Items on the page, at most.")]
After = Annotated[int, Query(ge=-1, le=2**31, description="`last_id` of the page before.")]


def paged(items: Sequence[Item], limit: int, ids: Sequence[str]) -> Page[Item]:
    """A page of at most `limit` of the items; one item more says that there is a next page."""
    shown = ids[:limit]
    return Page(
        data=tuple(items[:limit]),
        has_more=len(items) > limit,
        first_id=shown[0] if shown else None,
        last_id=shown[-1] if shown else None,
    )
