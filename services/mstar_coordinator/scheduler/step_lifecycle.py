"""What workers do with a step, each a transaction: claim, renew, commit and give back; and what follows for its run.

Everything here is decided from the epoch of the lease and the state of the run; the store only keeps it. What this
leaves out: what people do with a run (`run_lifecycle`), and sending task messages (`reconciler`).
"""

from collections.abc import Callable
from threading import Event

from mstar import tracing
from mstar.api.steps import Arrivals, Claim, Commit, Heartbeat, HeartbeatReply, Release
from mstar.errors import CorruptArtefact, MissingArtefact, StaleEpoch, StepTaken
from mstar.evolution import RunEvent, RunState, transition
from mstar.poison import CAREFUL_AFTER, OTHER_CAUSES
from mstar.reach import Reach
from mstar.step_names import PREPARE
from mstar_artefacts.images import NOT_STORED
from mstar_coordinator.scheduler.commit_checks import check_commit
from mstar_coordinator.scheduler.futility import futile, judged_shards, may_be_futile, without_steps
from mstar_coordinator.scheduler.leases import LeaseWatch
from mstar_coordinator.scheduler.ports import Clock
from mstar_coordinator.scheduler.quarantine import blame
from mstar_coordinator.scheduler.reopening import Discard, differs, listed, reopen_readers
from mstar_coordinator.scheduler.reuse import Reuse
from mstar_coordinator.store.database import Store, Transaction
from mstar_coordinator.store.records import RunRecord, StepRecord, StepState

WARNED = "run.warned"
"""Event of something that ends no run and that its owner should know."""
ATTEMPTS = 5
"""Claims of one step before its run fails, so that a step that kills its worker can't go round for ever."""


class StepLifecycle:
    """The life of a step over the store."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        lease_seconds: float,
        changed: Event,
        discard: Discard,
        *,
        reuse: Reuse | None = None,
        reach: Callable[[str], Reach | None] = lambda project: None,
    ) -> None:
        """`clock`: monotonic seconds, by which leases run out. `changed`: set after every change.

        `discard`: removes what a step had left before. `reuse`: takes over for runs of a study what others have made.
        `reach`: where paths inside of a project's data sets may lead.
        """
        self._store = store
        self._watch = LeaseWatch(clock, lease_seconds)
        self._lease_seconds = lease_seconds
        self._changed = changed
        self._discard = discard
        self._reuse = reuse
        self._reach = reach
        self.leases_lost = 0
        """Steps taken back from silent workers since this process began."""

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
            if release.code in (CorruptArtefact.code, MissingArtefact.code) or NOT_STORED in error:
                error += f"; have it made again with `mstar run resume {run.id}`"
            # An attempt counts unless the worker was only told to stop, or the search for its cause came forward.
            blames = release.retryable and not release.preempted and release.code not in OTHER_CAUSES
            counts = not release.preempted and not (blames and blame(tx, run, step, error))
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
