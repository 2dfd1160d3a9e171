"""Deletes a run that has ended: its rows in one transaction, then what it made.

Where the process ends between the two, a folder is left that nobody reads. With an object store only the manifests go:
without its manifest an artefact does not exist, and the store's own rules for old objects remove the rest.
"""

from collections.abc import Callable

from mstar.errors import Conflict, IllegalTransition
from mstar.evolution import RunState
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.scheduler.run_folders import RunFolders
from mstar_coordinator.store.database import Store

ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


class Removal:
    """Deletes runs."""

    def __init__(
        self, store: Store, folders: RunFolders, artefacts: ArtefactStore, forget: Callable[[str], None]
    ) -> None:
        """`forget`: removes what is kept of a run for searching."""
        self._store = store
        self._folders = folders
        self._artefacts = artefacts
        self._forget = forget

    def delete(self, run_id: str, confirmed: str) -> None:
        """Delete a run and all that it made. `confirmed`: its id once more, by who wants it.

        Raises NotFound, IllegalTransition for a run that has not ended, and Conflict without the confirmation, for a
        run of a study, and for one whose artefacts another run uses.
        """
        with self._store.writing() as tx:
            run = tx.runs.lock(run_id)
            if run.state not in ENDED:
                raise IllegalTransition(f"run {run_id} is {run.state.value}: cancel it before you delete it")
            if confirmed != run_id:
                raise Conflict(f"deleting a run cannot be undone: confirm it with confirm={run_id}", field="confirm")
            if study := tx.tags.study_of(run_id):
                raise Conflict(f"run {run_id} belongs to study {study}, whose results need it")
            # A new run of a study may be taking over what this one made: who comes second sees what the first has done.
            tx.runs.hold_made(to_remove=True)
            if reader := tx.tags.reader_of(run_id):
                raise Conflict(f"run {reader} uses what run {run_id} has made: delete that run first")
            made = [step.artefact.id for step in tx.steps.of_run(run_id) if step.artefact is not None]
            tx.tags.remove(run_id)
        self._forget(run_id)
        # An artefact that was taken over belongs to the run that made it.
        own = [one for one in made if one.startswith(f"{run_id}/")]
        self._folders.remove(run_id)
        for artefact in own:
            self._artefacts.discard(artefact)
