"""The state machine of `mstar.evolution` over the database: every change of a run or a step is one transaction.

Here is what people do with a run; `step_lifecycle` has what workers do with its steps. The reconciler sends task
messages and writes files; it is woken after every change.
"""

import secrets
from collections.abc import Callable, Mapping
from threading import Event
from types import MappingProxyType

from mstar.api.keys import DEFAULT_PROJECT
from mstar.errors import IllegalTransition
from mstar.evolution import RunEvent, RunState, graph, transition
from mstar.reach import Reach
from mstar.recipes import Recipe
from mstar.stages.publish import PUBLISH
from mstar_coordinator.scheduler.admission import check_size
from mstar_coordinator.scheduler.ids import new_run_id
from mstar_coordinator.scheduler.ports import Clock
from mstar_coordinator.scheduler.reopening import Discard, Loss, reopen
from mstar_coordinator.scheduler.reuse import Reuse
from mstar_coordinator.scheduler.run_folders import RunFolders
from mstar_coordinator.scheduler.step_lifecycle import StepLifecycle
from mstar_coordinator.store.database import Store, Transaction
from mstar_coordinator.store.records import IdempotencyKey, RunRecord, StepRecord, StepState

NOTHING: Mapping[str, Loss] = MappingProxyType({})


class RunLifecycle(StepLifecycle):
    """The life of a run and of its steps over the store."""

    def __init__(
        self,
        store: Store,
        folders: RunFolders,
        clock: Clock,
        lease_seconds: float,
        changed: Event,
        discard: Discard,
        *,
        streaming: bool,
        reuse: Reuse | None = None,
        reach: Callable[[str], Reach | None] = lambda project: None,
    ) -> None:
        """`streaming`: train steps begin with their first shard, while the others are still sampled.

        The other arguments: see `StepLifecycle`.
        """
        super().__init__(store, clock, lease_seconds, changed, discard, reuse=reuse, reach=reach)
        self._folders = folders
        self._streaming = streaming

    def create(
        self,
        recipe: Recipe,
        key: IdempotencyKey | None = None,
        join: Callable[[Transaction, str], None] | None = None,
        note: str = "",
        project: str = DEFAULT_PROJECT,
    ) -> str:
        """Start a run and return its id; with a key that was used before, the id of the run it started.

        `join`: makes the run one of a study, in the same transaction; such a run takes over what others have made.
        `note`: what its first event says.
        Raises IdempotencyMismatch and StorageFull. Nothing is left of a run that could not be started.
        """
        with self._store.reading() as tx:
            now, newest = tx.now(), tx.runs.newest()
        run = RunRecord(
            id=new_run_id(now, secrets.token_bytes(4), after=newest),
            name=recipe.name,
            state=RunState.RUNNING,
            error=None,
            created_at=now,
            updated_at=now,
            iterations=recipe.evolution.iterations,
            recipe=recipe,
            project=project,
        )
        # Before the row: workers may begin a run as soon as it is committed. A folder without a row is removed below.
        self._folders.create(run)
        started = None
        try:
            with self._store.writing() as tx:
                started = tx.runs.take_key(key.key, key.body_sha256, run.id, now) if key else run.id
                if started == run.id:
                    tx.runs.add(run)
                    tx.steps.add(run.id, graph(recipe, run.iterations), streaming=self._streaming)
                    tx.events.append(run.id, now, "run.created", message=note)
                    if join is not None:
                        join(tx, run.id)
                        if self._reuse is not None:
                            self._reuse.begin(tx, run)
        finally:
            if started != run.id:
                self._folders.discard(run.id)
        self._changed.set()
        return started

    def extend(self, run_id: str, count: int, key: IdempotencyKey | None = None) -> None:
        """Plan more iterations. Raises NotFound, IllegalTransition, and InvalidRecipe for a graph that is too large."""
        with self._store.writing() as tx:
            run = tx.runs.lock(run_id)
            if key is not None:
                # `take_key` answers with this run's id the first time and the second, so a repeat is looked for first.
                if tx.runs.find_key(key.key, key.body_sha256) is not None:
                    return
                tx.runs.take_key(key.key, key.body_sha256, run_id, tx.now())
            if run.recipe.measure is not None:
                raise IllegalTransition(
                    f"{run_id} is an evaluation, which has no iterations: extend the run it measures"
                )
            state = transition(run.state, RunEvent.EXTEND)
            iterations = run.iterations + count
            check_size(run.recipe, iterations)
            # `publish` is named after the number of iterations and stands last; the longer graph brings a new one.
            tx.steps.remove_pending(run_id, PUBLISH.kind)
            there = tx.steps.names(run_id)
            new = [step for step in graph(run.recipe, iterations) if step.name not in there]
            tx.steps.add(run_id, new, streaming=self._streaming)
            tx.runs.set_iterations(run_id, iterations)
            now = tx.now()
            tx.runs.set_state(run_id, state, now)
            tx.events.append(run_id, now, "run.extended", message=f"{iterations} iterations planned")
        self._changed.set()

    def pause(self, run_id: str) -> None:
        """Let leased steps finish and start no other. Raises NotFound or IllegalTransition."""
        self._move(run_id, RunEvent.PAUSE, "run.paused")

    def cancel(self, run_id: str) -> None:
        """End a run for good; leases become void. Raises NotFound or IllegalTransition."""
        self._move(run_id, RunEvent.CANCEL, "run.cancelled")

    def cancel_in(self, tx: Transaction, run_id: str) -> None:
        """The same within a transaction, whose end the caller tells; nothing for a run that has ended by itself."""
        if tx.runs.lock(run_id).state in (RunState.RUNNING, RunState.PAUSED):
            _moved(tx, run_id, RunEvent.CANCEL, "run.cancelled")

    def resume(self, run_id: str, lost: Mapping[str, Loss] = NOTHING) -> None:
        """Go on with a paused or failed run; all attempts are forgotten, and steps that nobody renews are free again.

        `lost`: by step, what it must make again. Raises NotFound or IllegalTransition.
        """
        with self._store.writing() as tx:
            run, now = tx.runs.lock(run_id), tx.now()
            tx.runs.set_state(run_id, transition(run.state, RunEvent.RESUME), now)
            for step in tx.steps.leased(run_id):
                if self._watch.is_silent(step.lease):
                    tx.steps.give_back(step.id, step.attempts, f"worker {step.worker} fell silent")
            tx.steps.retry_all(run_id)
            tx.events.append(run_id, now, "run.resumed")
            self._reopen(tx, run_id, lost)
            self._succeed_if_done(tx, run_id, RunState.RUNNING)
        self._changed.set()

    def repair(self, run_id: str, lost: Mapping[str, Loss]) -> dict[str, Loss]:
        """Have damaged artefacts made again, as in `resume`; a run that has ended goes on, a paused one stays so.

        Returns what is made again, by step. Where that is nothing, since all of it was made again since it was found,
        the run stays as it is: one that has ended would otherwise go on with nothing to do.
        Raises NotFound or IllegalTransition.
        """
        with self._store.writing() as tx:
            run, now = tx.runs.lock(run_id), tx.now()
            state = transition(run.state, RunEvent.REPAIR)
            again = self._reopen(tx, run_id, lost)
            if not again:
                return {}
            tx.runs.set_state(run_id, state, now)
            if run.state is RunState.FAILED:
                tx.steps.retry_all(run_id)
        self._changed.set()
        return again

    def _reopen(self, tx: Transaction, run_id: str, lost: Mapping[str, Loss]) -> dict[str, Loss]:
        """Take back into work what was found damaged, unless its step has made it again since; returns what it took."""
        again = [
            step
            for step in tx.steps.of_run(run_id)
            if step.name in lost and step.state is StepState.DONE and step.artefact == lost[step.name].left
        ]
        if not again:
            return {}
        now = tx.now()
        for step in again:
            message = f"{lost[step.name].reason}; the step is done again"
            tx.events.append(run_id, now, "artefact.damaged", step=step.name, message=message)

        def discard(step: StepRecord) -> None:
            left = lost[step.name].left
            if left is not None and not lost[step.name].intact:
                self._discard(left.id)

        reopen(tx, run_id, again, discard)
        tx.runs.touch(run_id, now, shown=True)
        return {step.name: lost[step.name] for step in again}

    def _move(self, run_id: str, event: RunEvent, name: str) -> None:
        with self._store.writing() as tx:
            _moved(tx, run_id, event, name)
        self._changed.set()


def _moved(tx: Transaction, run_id: str, event: RunEvent, name: str) -> None:
    run, now = tx.runs.lock(run_id), tx.now()
    tx.runs.set_state(run_id, transition(run.state, event), now, run.error)
    tx.events.append(run_id, now, name)
