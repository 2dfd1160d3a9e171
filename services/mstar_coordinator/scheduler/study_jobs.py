"""Studies as jobs: starts the runs of the oldest running study one after the other, and ends it after the last.

Everything is in the database, so a coordinator that restarts continues where it stopped. A run that fails does not stop
the others; the study then ends as failed, and `resume` tries such runs again. What no run of the study needs any more
is removed: the checkpoints of an iteration that is not a run's last.
"""

import secrets
from collections.abc import Callable, Sequence
from threading import Event

from mstar.api.keys import DEFAULT_PROJECT
from mstar.errors import IllegalTransition, MstarError
from mstar.evolution import RunState, graph
from mstar.recipes import Recipe
from mstar.stages.train import TrainParams
from mstar.step_keys import step_keys
from mstar.step_names import PREPARE
from mstar.study.plan import Study
from mstar.study.states import StudyEvent, StudyState, study_transition
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.scheduler.ids import new_run_id
from mstar_coordinator.scheduler.repair import Repair
from mstar_coordinator.scheduler.reuse import Reuse
from mstar_coordinator.scheduler.run_lifecycle import RunLifecycle
from mstar_coordinator.store.database import Store, Transaction
from mstar_coordinator.store.records import IdempotencyKey, StepRecord, StudyEntry, StudyRecord

ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


class StudyJobs:
    """Owns no thread: the reconciler calls `advance` every second."""

    def __init__(
        self,
        store: Store,
        lifecycle: RunLifecycle,
        repair: Repair,
        reuse: Reuse,
        artefacts: ArtefactStore,
        code: Callable[[], str],
        changed: Event,
    ) -> None:
        """`code`: version of the code, which is part of the keys by which runs share steps."""
        self._store = store
        self._lifecycle = lifecycle
        self._repair = repair
        self._reuse = reuse
        self._artefacts = artefacts
        self._code = code
        self._changed = changed

    def create(
        self,
        plan: Study,
        runs: Sequence[tuple[str, Recipe]],
        key: IdempotencyKey | None = None,
        project: str = DEFAULT_PROJECT,
    ) -> str:
        """Take a study on and return its id; with a key that was used before, the id of the study it started.

        `runs`: arm and recipe of each run, in their order. Raises IdempotencyMismatch.
        """
        with self._store.writing() as tx:
            now = tx.now()
            study_id = new_run_id(now, secrets.token_bytes(4), after=tx.studies.newest(), prefix="s")
            taken = tx.runs.take_key(key.key, key.body_sha256, study_id, now) if key else study_id
            if taken == study_id:
                study = StudyRecord(study_id, plan.name, StudyState.RUNNING, None, now, now, plan, project)
                tx.studies.add(study, [StudyEntry(place, *one) for place, one in enumerate(runs)])
        self._changed.set()
        return taken

    def cancel(self, study_id: str) -> None:
        """End a study and the run that is under way; what was made stays. Raises NotFound or IllegalTransition."""
        with self._store.writing() as tx:
            study = tx.studies.lock(study_id)
            tx.studies.set_state(study_id, study_transition(study.state, StudyEvent.CANCEL), tx.now())
            # In one transaction: a run that went on after its study was cancelled would be nobody's.
            for one in tx.studies.entries(study_id):
                if one.run_id is not None and one.state not in ENDED:
                    self._lifecycle.cancel_in(tx, one.run_id)
        self._changed.set()

    def resume(self, study_id: str) -> None:
        """Try the failed runs of a study again, and go on with the rest. Raises NotFound or IllegalTransition."""
        with self._store.reading() as tx:
            study_transition(tx.studies.get(study_id).state, StudyEvent.RESUME)
            failed = [one.run_id for one in tx.studies.entries(study_id) if one.state is RunState.FAILED]
        # Runs first: `advance` would end a running study whose runs have all ended, while their artefacts are checked.
        for run_id in failed:
            assert run_id is not None
            self._repair.resume(run_id)
        with self._store.writing() as tx:
            study = tx.studies.lock(study_id)
            tx.studies.set_state(study_id, study_transition(study.state, StudyEvent.RESUME), tx.now())
        self._changed.set()

    def advance(self) -> None:
        """Start the next run of the oldest running study, or end that study. Raises StorageFull."""
        with self._store.reading() as tx:
            study = tx.studies.oldest_running()
            entries = [] if study is None else tx.studies.entries(study.id)
        if study is None or any(one.run_id is not None and one.state not in ENDED for one in entries):
            return
        waiting = [one for one in entries if one.run_id is None]
        # First, since the next run needs the room.
        self._tidy(entries, waiting)
        if waiting:
            self._start(study, waiting[0])
        else:
            self._end(study, entries)

    def _start(self, study: StudyRecord, entry: StudyEntry) -> None:
        def join(tx: Transaction, run_id: str) -> None:
            # Looked at again in the transaction that begins the run: it may have been cancelled since it was read.
            if tx.studies.lock(study.id).state is not StudyState.RUNNING:
                raise IllegalTransition(f"study {study.id} is no longer running")
            tx.studies.bind(study.id, entry.position, run_id)

        self._lifecycle.create(entry.recipe, join=join, project=study.project)

    def _end(self, study: StudyRecord, entries: Sequence[StudyEntry]) -> None:
        bad = [one for one in entries if one.state is not RunState.SUCCEEDED]
        error = None
        if bad:
            first = bad[0]
            what = first.error or (first.state.value if first.state else "never begun")
            where = f"{first.arm} with seed {first.recipe.seed}"
            error = f"{len(bad)} of {len(entries)} runs have no result; {where}: {what}"
        with self._store.writing() as tx:
            if tx.studies.lock(study.id).state is StudyState.RUNNING:
                state = StudyState.FAILED if bad else StudyState.SUCCEEDED
                tx.studies.set_state(study.id, state, tx.now(), error)

    def _tidy(self, entries: Sequence[StudyEntry], waiting: Sequence[StudyEntry]) -> None:
        """Remove checkpoints of finished runs that neither the runs themselves nor those that wait will read.

        Twelve iterations of a small model are half a gigabyte a run, and a study has dozens of runs.
        """
        for one in entries:
            if one.run_id is None or one.state is not RunState.SUCCEEDED:
                continue
            with self._store.reading() as tx:
                steps = tx.steps.done(one.run_id, ("train", "prepare"))
            passing = self._passing(one.run_id, steps)
            if not passing:
                continue
            # The seed is part of every key, so runs of another seed share nothing with this one.
            wanted = self._wanted(steps, [other.recipe for other in waiting if other.recipe.seed == one.recipe.seed])
            for artefact in self._mark(one.run_id, [step for step in passing if step.key not in wanted]):
                self._artefacts.discard(artefact)

    def _mark(self, run_id: str, unread: Sequence[StepRecord]) -> list[str]:
        """Note what is about to be removed, so that `repair` does not take it for lost; the artefacts that may go.

        Before the files: a process that ends in between finds them still there, and removes them the next time.
        """
        if not unread:
            return []
        with self._store.writing() as tx:
            # It may have been extended or repaired since it was read, and needs its checkpoints then.
            if tx.runs.lock(run_id).state is not RunState.SUCCEEDED:
                return []
            tx.runs.hold_made(to_remove=True)
            return tx.steps.set_removed(unread)

    def _passing(self, run_id: str, steps: Sequence[StepRecord]) -> list[StepRecord]:
        """Trainings of iterations before the last one whose checkpoints are the run's own and still there."""
        trained = [(step, step.spec.params) for step in steps if isinstance(step.spec.params, TrainParams)]
        last = max((params.iteration for _, params in trained), default=0)
        return [
            step
            for step, params in trained
            if 0 < params.iteration < last
            and step.artefact is not None
            and step.artefact.id.startswith(f"{run_id}/")
            and self._artefacts.find(step.artefact.id) is not None
        ]

    def _wanted(self, steps: Sequence[StepRecord], recipes: Sequence[Recipe]) -> set[str]:
        """Keys of all steps that are still to be done on the data and the base model of these steps."""
        prepared = next((step.artefact for step in steps if step.name == PREPARE), None)
        if prepared is None or not recipes:
            return set()
        try:
            contents = self._reuse.contents(prepared)
        except MstarError:
            # It is damaged or gone, so nothing that waits can read what was made of it.
            return set()
        code = self._code()
        return {
            key
            for one in recipes
            for key in step_keys(one, graph(one, one.evolution.iterations), contents, code).values()
        }
