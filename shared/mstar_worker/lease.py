"""Claim a step, renew its lease while a handler does it, then commit its result or release it with the reason.

When the lease is lost (another epoch, a cancelled run), the handler stops at its next progress report, and its output
is discarded. What this leaves out: what a step does (the handlers) and when it is due (the coordinator).
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

import structlog
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, stop_when_event_set, wait_fixed

from mstar import tracing
from mstar.api.steps import Claim, Commit, Heartbeat, Release
from mstar.errors import InvalidInput, MstarError, NotFound, StaleEpoch, StepTaken, Unavailable
from mstar.gpu_memory import ReadGpuMemory
from mstar.host_memory import is_exhausted, no_memory
from mstar.steps import ArtefactRef, Queue, StepResult
from mstar.writing import refused
from mstar_worker.client import StepClient
from mstar_worker.stop import Preempted, StopGuard

log = structlog.get_logger()


class ReportProgress(Protocol):
    """What a handler calls between pieces of its work."""

    def __call__(self, done: int, total: int, question: str | None = None) -> None:
        """Note units done and units in all. Raises StaleEpoch once the lease is lost.

        `question`: id of the question that is begun now. The coordinator knows it before this returns, so that it is
        known at what a worker died. Raises Unavailable where it does not answer.
        """


Handler = Callable[[Claim, ReportProgress], tuple[ArtefactRef | None, StepResult]]

GiveUp = Callable[[], None]
"""Called from another thread when nobody needs what the handler does: ends what it waits for, such as requests."""
NO_GPUS: Mapping[Queue, ReadGpuMemory] = {}
BEATS_PER_LEASE = 4
BEAT_SECONDS = 2.0
"""Longest time between heartbeats, and so until a worker learns that its run was cancelled."""
COMMIT_PAUSE = 0.5
RELEASE_SECONDS = 5.0
"""How long a release is retried while the coordinator does not answer: it may be restarting, and may be gone."""
COMMIT_SECONDS = 120.0
"""How long a commit is retried while the coordinator does not answer; the work is worth more than the wait."""


def nothing_to_give_up() -> None:
    """For handlers that wait for nothing outside."""


def _no_gpu() -> None:
    """The memory of a step that is done without a GPU."""


def advance(
    step_id: str,
    handlers: Mapping[str, Handler],
    coordinator: StepClient,
    worker: str,
    give_up: GiveUp = nothing_to_give_up,
    gpu_memory: Mapping[Queue, ReadGpuMemory] = NO_GPUS,
) -> None:
    """Try to do one step; returns without an error when it is taken, done, unknown or not due.

    `give_up` is called as soon as the lease is lost, and when a stop signal has ended the handler. Failures go to the
    coordinator, which decides on another attempt: bad input is final, anything else is not. `gpu_memory` is told with
    each heartbeat, so it must not wait.
    """
    with StopGuard() as guard, tracing.joined(tracing.attempt_place(step_id)):
        try:
            claim = coordinator.claim(step_id, worker)
        except (StepTaken, NotFound, Unavailable) as reason:
            log.info("step not claimed", step=step_id, reason=reason.detail)
            return
        except MstarError as error:
            # A refused key or another server at the URL: the worker keeps running and claims steps once that is fixed.
            log.warning("step not claimed", step=step_id, reason=error.detail)
            return
        log.info("step claimed", run=claim.run_id, step=claim.step.name, epoch=claim.epoch)
        memory = gpu_memory.get(claim.step.queue, _no_gpu)
        with _Lease(claim, coordinator, give_up, memory) as lease, attempt_span(claim, worker) as span:
            outcome = _do(claim, handlers[claim.step.params.kind], coordinator, lease, guard)
            span.note("mstar.outcome", outcome)
            if outcome == "failed":
                span.fail(outcome)


def attempt_span(claim: Claim, worker: str) -> AbstractContextManager[tracing.Span]:
    """The span of one attempt at a step, in the step's trace."""
    return tracing.span(
        f"step {claim.step.params.kind}",
        kind="consumer",
        values={**tracing.step_values(claim.run_id, claim.step.name, claim.epoch), "mstar.worker": worker},
        under=tracing.attempt_place(claim.step_id, claim.epoch),
    )


def _do(claim: Claim, handler: Handler, coordinator: StepClient, lease: "_Lease", guard: StopGuard) -> str:
    """Do the step, hand in or give back what came of it, and say which."""
    context = {"run": claim.run_id, "step": claim.step.name}
    try:
        guard.begin()
        try:
            artefact, result = handler(claim, lease.progress)
        finally:
            # Also where it fails: a signal must tear neither the commit nor the release below.
            guard.end()
        _commit(claim, coordinator, lease, Commit(epoch=claim.epoch, artefact=artefact, result=result))
        log.info("step committed", **context)
        return "committed"
    except StaleEpoch as reason:
        log.warning("step given up", **context, reason=reason.detail)
        return "given up"
    except Preempted as reason:
        why = str(reason) or "the worker is stopping"
        lease.give_up()
        log.warning("step given back", **context, reason=why)
        _release(claim, coordinator, why, "preempted", preempted=True)
        return "given back"
    except MstarError as error:
        if lease.lost.is_set():
            log.warning("step given up", **context, reason=lease.reason)
            return "given up"
        log.warning("step failed", **context, code=error.code, detail=error.detail)
        _release(claim, coordinator, error.detail, error.code, retryable=not isinstance(error, InvalidInput))
        return "failed"
    except Exception as error:
        if (lack := _lack(error)) is not None:
            log.warning("step failed", **context, code=lack.code, detail=lack.detail)
            _release(claim, coordinator, lack.detail, lack.code)
            return "failed"
        # A fault of the program: its trace goes to the log, and the coordinator gets the kind of error.
        log.exception("step failed unexpectedly", **context)
        _release(claim, coordinator, f"{type(error).__name__}: {error}", "internal")
        return "failed"


def _lack(error: Exception) -> MstarError | None:
    """What the machine lacks: memory, disk or a permission; None for any other error."""
    if is_exhausted(error):
        return no_memory(error, "give this worker more memory, or its machine less to do")
    return refused(error) if isinstance(error, OSError) else None


class _Lease:
    """Heartbeats from a thread of its own while the handler works."""

    def __init__(self, claim: Claim, coordinator: StepClient, give_up: GiveUp, gpu_memory: ReadGpuMemory) -> None:
        self._claim = claim
        self._coordinator = coordinator
        self.give_up = give_up
        self._gpu_memory = gpu_memory
        self._units = (0, 0)
        self._question: str | None = None
        self.lost = threading.Event()
        """Set once a heartbeat was told that another claim holds, or none."""
        self.reason = ""
        """Why it was lost."""
        # One at a time: an older heartbeat that arrives after a newer one would name another question.
        self._sending = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> "_Lease":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        # A heartbeat under way may wait for a coordinator that is gone; the next step must not.
        self._thread.join(timeout=10)

    def progress(self, done: int, total: int, question: str | None = None) -> None:
        """Note how far the handler is, for the next heartbeat; a new question is told at once.

        Raises StaleEpoch once the lease is lost.
        """
        begun = question is not None and question != self._question
        self._units, self._question = (done, total), question
        if self.lost.is_set():
            raise StaleEpoch(self.reason)
        # A heartbeat of the thread may be two seconds away, and the question may end this process before.
        if begun:
            self._heartbeat()

    def _heartbeat(self) -> float:
        """Tell the coordinator how far the handler is; the lease's seconds."""
        with self._sending:
            done, total = self._units
            beat = Heartbeat(
                epoch=self._claim.epoch, done=done, total=total, question=self._question, gpu_memory=self._gpu_memory()
            )
            return self._coordinator.heartbeat(self._claim.step_id, beat).lease_seconds

    def _beat(self) -> None:
        seconds = self._claim.lease_seconds
        while not self._ended.wait(min(seconds / BEATS_PER_LEASE, BEAT_SECONDS)):
            try:
                seconds = self._heartbeat()
            except (StaleEpoch, StepTaken, NotFound) as error:
                self.reason = error.detail
                self.lost.set()
                self.give_up()
                return
            except MstarError as error:
                # A coordinator that restarts is not a lost lease: the work goes on, and the commit decides.
                log.warning("heartbeat failed", step=self._claim.step.name, detail=error.detail)


def _commit(claim: Claim, coordinator: StepClient, lease: _Lease, commit: Commit) -> None:
    """Commit until the coordinator answers or says that the lease is lost. A repeated commit changes nothing there."""
    # Longer than a lease: heartbeats go on meanwhile, so the step stays this worker's.
    seconds = max(COMMIT_SECONDS, 4 * claim.lease_seconds)
    retrying = Retrying(
        retry=retry_if_exception_type(Unavailable),
        wait=wait_fixed(COMMIT_PAUSE),
        stop=stop_after_delay(seconds) | stop_when_event_set(lease.lost),
        reraise=True,
    )
    retrying(coordinator.commit, claim.step_id, commit)


def _release(
    claim: Claim,
    coordinator: StepClient,
    error: str,
    code: str,
    *,
    retryable: bool = True,
    preempted: bool = False,
) -> None:
    """Release the step; if that fails as well, the lease expires by itself."""
    # A message may have 4,000 characters.
    release = Release(
        epoch=claim.epoch, error=error[:4000] or code, code=code, retryable=retryable, preempted=preempted
    )
    retrying = Retrying(
        retry=retry_if_exception_type(Unavailable),
        wait=wait_fixed(COMMIT_PAUSE),
        stop=stop_after_delay(RELEASE_SECONDS),
        reraise=True,
    )
    try:
        retrying(coordinator.release, claim.step_id, release)
    except MstarError as failure:
        log.warning("release failed", step=claim.step.name, detail=failure.detail)
