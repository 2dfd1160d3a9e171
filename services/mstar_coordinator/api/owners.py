"""Isolation of projects: what belongs to one is a 404 for the keys of another, by one check for all routes.

A dependency of the whole app, so that a route added later can't forget it. It goes by the names of path parameters:
the first one of each path is listed here, and a test fails for one that is not. What this leaves out: lists, which are
read by project.
"""

from collections.abc import Callable
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from mstar.errors import NotFound
from mstar_coordinator.api.routes.context import Context
from mstar_coordinator.store.batches import no_batch, no_file
from mstar_coordinator.store.database import Store, Transaction
from mstar_coordinator.store.runs import no_evaluation, no_run
from mstar_coordinator.store.studies import no_study
from mstar_web.auth import principal_of

Owner = tuple[Callable[[Transaction, str], str | None], Callable[[str], NotFound]]
OWNERS: dict[str, Owner] = {
    "run_id": (lambda tx, run_id: tx.runs.project_of(run_id), no_run),
    "evaluation_id": (lambda tx, evaluation_id: tx.runs.project_of(evaluation_id), no_evaluation),
    "study_id": (lambda tx, study_id: tx.studies.project_of(study_id), no_study),
    "file_id": (lambda tx, file_id: tx.batches.file_project(file_id), no_file),
    "batch_id": (lambda tx, batch_id: tx.batches.project_of(batch_id), no_batch),
}
"""Path parameter → the project of what it names, None where there is nothing; and the error for what is not seen."""
ELSEWHERE = frozenset({"key_id", "session_id", "step_id"})
"""Path parameters that are checked where they are used: keys and sessions by the door, steps by the role internal."""


async def require_own(request: Request) -> None:
    """Raises NotFound for anything in the path that is not the caller's project's."""
    project = principal_of(request.scope).view
    named = {name: value for name, value in request.path_params.items() if name in OWNERS}
    # None for workers, which do the steps of all projects.
    if project is not None and named:
        context: Context = request.app.state.context
        await run_in_threadpool(_check, context.store, project, named)


def _check(store: Store, project: str, named: dict[str, Any]) -> None:
    with store.reading() as tx:
        for name, value in named.items():
            project_of, missing = OWNERS[name]
            if project_of(tx, value) != project:
                raise missing(value)
