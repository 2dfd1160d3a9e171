"""The state machine of `mstar.evolution` over the database: every change of a run or a step is one transaction.

What is claimed, renewed, committed or given back is decided here from the epoch and the state of the run; the store
only keeps it. The reconciler sends task messages and writes files; it is woken after every change.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event
from types import MappingProxyType

from mstar import tracing
from mstar.api.keys import DEFAULT_PROJECT
from mstar.api.steps import Arrivals, Claim, Commit, Heartbeat, HeartbeatReply, Release
from mstar.errors import CorruptArtefact, IllegalTransition, StaleEpoch, StepTaken
from mstar.evolution import RunEvent, RunState, graph, transition
from mstar.poison import CAREFUL_AFTER
from mstar.reach import Reach
from mstar.recipes import Recipe
from mstar.stages.publish import PUBLISH
from mstar.step_names import PREPARE
from mstar_coordinator.scheduler.admission import check_size
from mstar_coordinator.scheduler.commit_checks import check_commit
from mstar_coordinator.scheduler.futility import futile, judged_shards, may_be_futile, without_steps
from mstar_coordinator.scheduler.ids import new_run_id
from mstar_coordinator.scheduler.leases import LeaseWatch
from mstar_coordinator.scheduler.ports import Clock
from mstar_coordinator.scheduler.quarantine import blame
from mstar_coordinator.scheduler.reopening import Discard, Loss, differs, listed, reopen, reopen_readers
from mstar_coordinator.scheduler.reuse import Reuse
from mstar_coordinator.scheduler.run_folders import RunFolders
from mstar_coordinator.store.database import Store, Transaction
from mstar_coordinator.store.records import RunRecord, StepRecord, StepState

NOTHING: Mapping[str, Loss] = MappingProxyType({})
WARNED = "run.warned"
"""Event of something that ends no run and that its owner should know."""
ATTEMPTS = 5
"""Claims of one step before its run fails, so that a step that kills its worker can't go round for ever."""


@dataclass(frozen=True)
class IdempotencyKey:
    """A client's key and the hash of the body that came with it."""

    key: str
    body_sha256: str


class RunLifecycle:
    """The state machine over the store."""

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
        """`clock`: monotonic seconds, by which leases run out. `discard`: removes what a step had left before.

        `streaming`: train steps begin with their first shard, while the others are still sampled. `reuse`: takes over
        for runs of a study what others have made. `reach`: where paths inside of a project's data sets may lead.
        """
        self._reuse = reuse
        self._reach = reach
        self._streaming = streaming
        self._discard = discard
        self._store = store
        self._folders = folders
        self._watch = LeaseWatch(clock, lease_seconds)
        self._lease_seconds = lease_seconds
        self._changed = changed
        self.leases_lost = 0
        """Steps taken back from silent workers since this process began."""

    # --- runs

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

    # --- steps

    def claim(self, step_id: str, worker: str) -> Claim:
        """Lease a step under a new epoch. Raises NotFound, or StepTaken when it is not to be done now."""
        with self._store.writing() as tx:
            run, step = _locked(tx, step_id)
            if run.state is not RunState.RUNNING:
                raise StepTaken(f"run {run.id} is {run.state.value}")
            if step.state is not StepState.PENDING:
                raise StepTaken(f"step {step.name} is {step.state.value}")
            if step.waiting:
                raise StepTaken(f"step {step.name} waits for {step.waiting} others")
            if step.attempts >= ATTEMPTS:
                raise StepTaken(f"step {step.name} was tried {step.attempts} times")
            now = tx.now()
            lease = tx.steps.lease(step, worker, now)
            tx.runs.touch(run.id, now, shown=False)
            # `step` is as it was before the claim, so its attempts are those that have failed.
            claim = self._claim(tx, run, step, lease.epoch)
        self._watch.begin(lease)
        tracing.past(
            f"wait in queue {step.spec.queue.value}",
            values=tracing.step_values(run.id, step.name, lease.epoch),
            under=tracing.attempt_place(step.id, lease.epoch),
            # A worker may claim the step before the sending of its message is noted: it has hardly waited then.
            began=now if step.published_at is None else step.published_at,
            ended=now,
        )
        # A claim makes room in the window of task messages.
        self._changed.set()
        return claim

    def claimed(self, step_id: str) -> Claim:
        """What the holder of a leased step was given. Raises NotFound, or StepTaken when nobody holds it."""
        with self._store.reading() as tx:
            step = tx.steps.get(step_id)
            run = tx.runs.get(step.run_id)
            if step.state is not StepState.LEASED or run.state is RunState.CANCELLED:
                raise StepTaken(f"nobody holds step {step.name}: it is {step.state.value}")
            return self._claim(tx, run, step, step.epoch)

    def _claim(self, tx: Transaction, run: RunRecord, step: StepRecord, epoch: int) -> Claim:
        return Claim(
            step_id=step.id,
            run_id=run.id,
            epoch=epoch,
            lease_seconds=self._lease_seconds,
            step=step.spec,
            recipe=run.recipe,
            inputs=tx.steps.inputs(step),
            careful=step.attempts >= CAREFUL_AFTER,
            suspects=tx.suspects.of_step(run.id, step.name),
            quarantined=tuple(one.question for one in tx.suspects.quarantined(run.id)),
            reach=self._reach(run.project),
        )

    def heartbeat(self, step_id: str, beat: Heartbeat) -> HeartbeatReply:
        """Renew a lease. Raises NotFound, or StaleEpoch when it is void."""
        with self._store.writing() as tx:
            run, step = _locked(tx, step_id)
            _check_held(run, step, beat.epoch)
            lease = tx.steps.renew(step, beat)
        self._watch.begin(lease)
        return HeartbeatReply(lease_seconds=self._lease_seconds)

    def arrivals(self, step_id: str, epoch: int, after: int = 0) -> Arrivals:
        """The inputs that a leased step has by now, or those committed after an event of its run.

        Raises NotFound, or StaleEpoch when the lease is void.
        """
        with self._store.reading() as tx:
            step = tx.steps.get(step_id)
            run = tx.runs.get(step.run_id)
            _check_held(run, step, epoch)
            # Before the inputs: what is committed between the two questions is told twice and not never.
            seen = tx.events.last_id(run.id)
            inputs = tx.steps.inputs(step, after)
            return Arrivals(inputs=inputs, seen=seen, coming=run.state is RunState.RUNNING)

    def commit(self, step_id: str, commit: Commit) -> None:
        """Take what a step left, once; the same commit again is accepted and changes nothing.

        Raises NotFound, StaleEpoch when the lease is void, and InvalidInput for a result that can't be the step's.
        """
        with self._store.writing() as tx:
            run, step = _locked(tx, step_id)
            # Before the lease is looked at: a worker whose first answer was lost holds none by now.
            if step.state is StepState.DONE and _repeats(step, commit):
                return
            _check_held(run, step, commit.epoch)
            check_commit(step, commit)
            now = tx.now()
            tx.steps.finish(step_id, now, commit.artefact, commit.result)
            tx.suspects.clear(run.id, step.name)
            # While `prepare` is done again, every step counts it as a need, whether or not the graph says so.
            if step.name == PREPARE:
                tx.steps.recount(run.id)
                if self._reuse is not None and tx.studies.holds(run.id):
                    self._reuse.follow(tx, run)
            tx.runs.touch(run.id, now, shown=_shows(tx, run.id, step))
            tx.events.append(run.id, now, "step.committed", step=step.name, result=commit.result)
            # `step` was read before `finish`, so it still has what the step left the last time.
            if differs(step, commit) and (again := reopen_readers(tx, run.id, step, self._discard)):
                message = f"it is not what it was before; done again, since they read it: {listed(again)}"
                tx.events.append(run.id, now, "step.changed", step=step.name, message=message)
            if not self._stop_if_futile(tx, run, step):
                self._succeed_if_done(tx, run.id, run.state)
        self._changed.set()

    def release(self, step_id: str, release: Release) -> None:
        """Take a step back from a worker that can't finish it. Raises NotFound, or StaleEpoch for a void lease."""
        with self._store.writing() as tx:
            run, step = _locked(tx, step_id)
            _check_held(run, step, release.epoch)
            error = release.error
            if release.code == CorruptArtefact.code:
                error += f"; have it made again with `mstar run resume {run.id}`"
            # An attempt counts unless the worker was only told to stop, or the search for its cause came forward.
            counts = not release.preempted and not (release.retryable and blame(tx, run, step, error))
            attempts = step.attempts if counts else step.attempts - 1
            final = not release.preempted and (not release.retryable or attempts >= ATTEMPTS)
            self._take_back(tx, run, step, attempts, error, final=final)
        self._changed.set()

    def end_unclaimed(self, step_id: str, epoch: int, error: str) -> None:
        """Count an attempt that ended before it claimed its step, unless the step has gone on from `epoch` since."""
        with self._store.writing() as tx:
            run, step = _locked(tx, step_id)
            if run.state is RunState.RUNNING and step.state is StepState.PENDING and step.epoch == epoch:
                tx.steps.lease(step, "none", tx.now())
                attempts = step.attempts + 1
                self._take_back(tx, run, step, attempts, error, final=attempts >= ATTEMPTS)
        self._changed.set()

    def expire_leases(self) -> None:
        """Take steps back from workers that fell silent."""
        with self._store.reading() as tx:
            leases = tx.steps.leases()
        # A transaction each: heartbeats get through in between, and one of them may save the next step.
        for step_id in self._watch.silent(leases):
            with self._store.writing() as tx:
                # Where this waited for the database, heartbeats did so too.
                if self._watch.check_gap():
                    return
                run, step = _locked(tx, step_id)
                if step.state is StepState.LEASED and self._watch.is_silent(step.lease):
                    error = f"worker {step.worker} fell silent"
                    attempts = step.attempts - blame(tx, run, step, error)
                    self._take_back(tx, run, step, attempts, error, final=attempts >= ATTEMPTS)
                    self.leases_lost += 1

    # --- parts

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
            if not lost[step.name].intact:
                self._discard(lost[step.name].left.id)

        reopen(tx, run_id, again, discard)
        tx.runs.touch(run_id, now, shown=True)
        return {step.name: lost[step.name] for step in again}

    def _move(self, run_id: str, event: RunEvent, name: str) -> None:
        with self._store.writing() as tx:
            _moved(tx, run_id, event, name)
        self._changed.set()

    def _take_back(
        self, tx: Transaction, run: RunRecord, step: StepRecord, attempts: int, error: str, *, final: bool
    ) -> None:
        now = tx.now()
        if not final:
            tx.steps.give_back(step.id, attempts, error)
            if run.state is not RunState.CANCELLED:
                tx.runs.touch(run.id, now, shown=False)
                tx.events.append(run.id, now, "step.retried", step=step.name, message=error)
            return
        tx.steps.fail(step.id, error)
        tx.events.append(run.id, now, "step.failed", step=step.name, message=error)
        if run.state is RunState.RUNNING:
            message = f"step {step.name} failed at attempt {attempts}: {error}"
            tx.runs.set_state(run.id, transition(run.state, RunEvent.STEP_FAILED), now, message)
            tx.events.append(run.id, now, "run.failed", step=step.name, message=message)

    def _stop_if_futile(self, tx: Transaction, run: RunRecord, step: StepRecord) -> bool:
        """End a run whose first shards show that nothing can be kept; once a stage, so that it may be resumed."""
        if run.state is not RunState.RUNNING or not may_be_futile(step.spec):
            return False
        done, total = tx.steps.counts(run.id, step.stage)
        if done > judged_shards(run.recipe) or tx.events.has(run.id, "run.failed", step.stage):
            return False
        shards = [one.result for one in tx.steps.done_in_stage(run.id, step.stage)]
        reason, now = futile(run.recipe, step.stage, shards, whole=done == total), tx.now()
        if reason is None:
            warning = without_steps(run.recipe, shards, whole=done == total)
            if warning and not tx.events.has(run.id, WARNED, step.stage):
                tx.events.append(run.id, now, WARNED, step=step.stage, message=warning)
            return False
        tx.runs.set_state(run.id, transition(run.state, RunEvent.STEP_FAILED), now, reason)
        tx.events.append(run.id, now, "run.failed", step=step.stage, message=reason)
        return True

    def _succeed_if_done(self, tx: Transaction, run_id: str, state: RunState) -> None:
        if state is RunState.RUNNING and tx.steps.all_done(run_id):
            now = tx.now()
            tx.runs.set_state(run_id, transition(state, RunEvent.STEPS_DONE), now)
            tx.events.append(run_id, now, "run.succeeded")


def _moved(tx: Transaction, run_id: str, event: RunEvent, name: str) -> None:
    run, now = tx.runs.lock(run_id), tx.now()
    tx.runs.set_state(run_id, transition(run.state, event), now, run.error)
    tx.events.append(run_id, now, name)


def _locked(tx: Transaction, step_id: str) -> tuple[RunRecord, StepRecord]:
    """A step and its run, both unchanged by others until the transaction ends."""
    # The run's lock is the first that every change takes; locks taken in two orders would deadlock.
    run = tx.runs.lock(tx.steps.run_of(step_id))
    return run, tx.steps.get(step_id)


def _check_held(run: RunRecord, step: StepRecord, epoch: int) -> None:
    # A paused or failed run lets the steps that are held come to their end; only a cancelled one makes leases void.
    if run.state is RunState.CANCELLED:
        raise StaleEpoch(f"run {run.id} was cancelled: drop the work")
    if step.state is not StepState.LEASED or step.epoch != epoch:
        raise StaleEpoch(f"epoch {epoch} of step {step.name} is void (epoch {step.epoch}, {step.state.value})")


def _shows(tx: Transaction, run_id: str, step: StepRecord) -> bool:
    """Whether the run's numbers change with this step.

    Shards count once their stage is whole, or each of thousands would have all numbers made anew.
    """
    declared = step.spec.declaration
    return declared.shown and (not declared.sharded or tx.steps.all_done(run_id, step.stage))


def _repeats(step: StepRecord, commit: Commit) -> bool:
    return (step.epoch, step.artefact, step.result) == (commit.epoch, commit.artefact, commit.result)
