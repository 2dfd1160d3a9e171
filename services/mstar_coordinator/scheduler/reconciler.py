"""A thread that makes queues, files and leases match the database.

It sends task messages for due steps, writes the files of changed runs, takes back the steps of silent workers and
starts the next run of a study. It runs after every change and every second; what need not follow every change, such as
files, is done every second only. A broker that is down delays task messages and fails no request: they are sent once it
is back.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from threading import Event, Thread

import structlog

from mstar import tracing
from mstar.errors import MstarError, Unavailable
from mstar.evolution import RunState
from mstar.steps import Queue
from mstar.writing import refused
from mstar_coordinator.scheduler.dependencies import LIMIT_SECONDS, Dependencies
from mstar_coordinator.scheduler.gpu_turns import GpuTurns
from mstar_coordinator.scheduler.ids import without_ids
from mstar_coordinator.scheduler.ports import Clock, Publisher
from mstar_coordinator.scheduler.run_folders import RunFolders
from mstar_coordinator.scheduler.run_lifecycle import RunLifecycle
from mstar_coordinator.scheduler.stillness import Stillness
from mstar_coordinator.store.database import Store
from mstar_coordinator.store.records import DueStep, StepState

WINDOW = 64
"""Task messages that wait in one queue at most, so that a long stage does not fill the broker."""
STOP_SECONDS = 2.0
PATIENCE_SECONDS = 5.0
"""After this long a part that has not come back counts as a problem of what it waits for."""
UNATTENDED_SECONDS = 30.0
"""A queue whose first step lies there for this long, while no step of it is under way, has no worker."""
WAITS_FOR = {
    "refresh": "the disk or the database",
    "take_turns": "the cluster",
    "tell_held": "the database",
    "advance_studies": "the disk or the database",
    "expire_leases": "the database",
    "publish_due": "the database or the broker",
}
"""What each part of a round waits for."""

_log = structlog.get_logger(__name__)


class Reconciler:
    """Owns the thread; `problem` says what does not work now."""

    def __init__(
        self,
        lifecycle: RunLifecycle,
        store: Store,
        folders: RunFolders,
        publisher: Publisher,
        clock: Clock,
        changed: Event,
        republish_seconds: float,
        interval_seconds: float = 1.0,
        turns: GpuTurns | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        advance_studies: Callable[[], None] = lambda: None,
    ) -> None:
        """`turns`: who has the GPUs, where they are taken in turns; without it every queue is open.

        `advance_studies`: starts the next run of a study when the last one has ended.
        """
        self._advance_studies = advance_studies
        self._turns = turns
        self._lifecycle = lifecycle
        self._store = store
        self._folders = folders
        self._publisher = publisher
        self._messages = Stillness(clock)
        self._changed = changed
        self._republish_seconds = republish_seconds
        self._interval_seconds = interval_seconds
        self._patience_seconds = patience_seconds
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="reconciler", daemon=True)
        self._slow: list[str | None] = []
        """What was wrong with the parts that do not follow every change."""
        self._found: str | None = None
        self._dependencies = Dependencies(
            {"the broker": publisher.check, "the database": store.check}, min(LIMIT_SECONDS, patience_seconds)
        )
        self._unattended: dict[Queue, str] = {}
        """What is wrong with the queues that nobody takes from."""
        self._heads = Stillness(clock)
        """How long the first due step of each queue has been the same one."""
        self._held: str | None = None
        """Why the GPUs do not change hands, as the runs' events say."""
        self._under_way: tuple[str, float] | None = None
        """What is being done now, and since when by the process's monotonic clock."""

    def start(self) -> None:
        """Begin. Workers that hold a step have a whole lease from now."""
        self._dependencies.start()
        self._thread.start()

    def stop(self) -> None:
        """End the thread, with the files of all runs up to date."""
        self._stopping.set()
        # Wakes the thread, which may be waiting for its next round.
        self._changed.set()
        self._dependencies.stop()
        # A call to a broker that is gone takes seconds to give up, and nothing is lost by leaving it behind.
        self._thread.join(STOP_SECONDS)
        # Once more, since a step may have been committed after the last round.
        self._attempt(self._folders.refresh)

    def tick(self, *, whole: bool = True) -> None:
        """One round; a part that fails is told in `problem`, tried again next time, and hinders no other.

        `whole`: with the parts that need not follow every change.
        """
        if whole:
            # Kept before the next parts run, since `tell_held` reads what `take_turns` has found.
            self._slow = [self._attempt(part) for part in (self._folders.refresh, self.take_turns)]
            self._slow += [self._attempt(part) for part in (self.tell_held, self.advance_studies)]
        # In this order, so that a step which is taken back is handed out in the same round.
        found = [self._attempt(part) for part in (self._lifecycle.expire_leases, self.publish_due)]
        problem = next((one for one in (*found, *self._slow) if one), None)
        if problem != self._found:
            _log.warning("reconciler", problem=problem or "none any more")
        self._found = problem

    @property
    def problem(self) -> str | None:
        """What does not work now, such as a broker or a database that has not answered for a while; never waits.

        Without ids: everybody reads it, whatever is theirs. The log has them.
        """
        return without_ids("; ".join(dict.fromkeys(self._problems()))) or None

    def _problems(self) -> Iterator[str]:
        asked = self._dependencies.problems
        yield from asked
        under_way = self._under_way
        if under_way is not None:
            waited = time.monotonic() - under_way[1]
            # What hangs because of the broker or the database has been named by then.
            if waited > self._patience_seconds and not asked:
                yield f"{under_way[0]} has not answered for {waited:.0f} s"
        if self._found is not None:
            yield self._found
        yield from self._unattended.values()

    def publish_due(self) -> None:
        """Send the task messages that are missing. Raises Unavailable when the broker can't be reached."""
        queues = [queue for queue in Queue if self.is_open(queue)]
        # Closed before the broker is asked, which may hang: an open transaction keeps SQLite's log from shrinking.
        with self._store.reading() as tx:
            due = {queue: tx.steps.due(queue, WINDOW) for queue in queues}
            under_way = {queue for queue, _, state in tx.steps.tally() if state == StepState.LEASED}
        # Forget what is no longer due, or a process that lives for months would remember every step it has seen.
        self._messages.keep({step.id for steps in due.values() for step in steps})
        self._look_for_workers({queue: steps[0].id for queue, steps in due.items() if steps}, under_way)
        for queue, steps in due.items():
            if steps:
                self._publish(queue, steps)

    def _look_for_workers(self, heads: Mapping[Queue, str], under_way: Collection[str]) -> None:
        """Note the queues whose first due step nobody claims though no worker of the queue is at work."""
        self._heads.keep({queue.value for queue in heads})
        found = {}
        for queue, step_id in heads.items():
            busy = queue.value in under_way
            # A new first step and a worker that begins or ends one both start the measurement again.
            waited = self._heads.seconds(queue.value, (step_id, busy))
            if not busy and waited >= UNATTENDED_SECONDS:
                if queue not in self._unattended:
                    _log.warning("no worker takes from a queue", queue=queue.value, step=step_id)
                found[queue] = f"no worker takes from the queue {queue.value}: step {step_id} waits for {waited:.0f} s"
        self._unattended = found

    def _is_late(self, step: DueStep) -> bool:
        return self._messages.seconds(step.id, step.published_at) >= self._republish_seconds

    def is_open(self, queue: Queue) -> bool:
        """Whether the queue's steps are handed out now."""
        return self._turns is None or self._turns.is_open(queue)

    def take_turns(self) -> None:
        """Let the GPUs change hands when it is time.

        Raises Unavailable when the cluster does not answer, or when pods hold a turn up for too long.
        """
        if self._turns is not None:
            self._turns.advance()
            if self._turns.problem is not None:
                raise Unavailable(self._turns.problem)

    def advance_studies(self) -> None:
        """Go on with the study whose turn it is. Raises StorageFull when its next run has no room."""
        self._advance_studies()

    def tell_held(self) -> None:
        """Tell the runs, in their events, when something begins to hold the GPUs up, and when it no longer does."""
        held = self._slow[1]
        if held == self._held or self._turns is None:
            return
        with self._store.writing() as tx:
            now = tx.now()
            for run_id in tx.runs.ids(RunState.RUNNING):
                tx.runs.lock(run_id)
                tx.events.append(run_id, now, "run.held" if held else "run.freed", message=held or "")
        self._held = held

    def _run(self) -> None:
        last = -self._interval_seconds
        while not self._stopping.is_set():
            # Before the round and not after it, so that a change which comes during the round starts the next one.
            self._changed.clear()
            if whole := time.monotonic() - last >= self._interval_seconds:
                last = time.monotonic()
            self.tick(whole=whole)
            self._changed.wait(self._interval_seconds)

    def _attempt(self, part: Callable[[], None]) -> str | None:
        """Do one part and return what went wrong."""
        self._under_way = (WAITS_FOR.get(part.__name__, part.__name__), time.monotonic())
        try:
            part()
        except MstarError as error:
            return error.detail
        # No part may end the thread: nothing would be handed out any more, and nothing would say so.
        except Exception as error:
            if isinstance(error, OSError) and (known := refused(error)) is not None:
                return known.detail
            _log.exception("the reconciler failed")
            return f"unexpected {type(error).__name__}; see the log"
        finally:
            self._under_way = None
        return None

    def _publish(self, queue: Queue, due: list[DueStep]) -> None:
        """Send task messages for due steps: first ones up to the window, and lost ones once the queue is empty."""
        sent: list[str] = []
        try:
            for step in self._worth_sending(queue, due):
                with _schedule_span(queue, step):
                    self._publisher.publish(queue, step.id)
                sent.append(step.id)
        finally:
            # Also when the broker fails half way: what has been sent is not sent again at once.
            if sent:
                with self._store.writing() as tx:
                    now = tx.now()
                    tx.steps.set_published(sent, now)
                for step_id in sent:
                    self._messages.restart(step_id, now)

    def _worth_sending(self, queue: Queue, due: list[DueStep]) -> list[DueStep]:
        """A step that is still due though its queue is empty: its message is lost, or on its way to a worker."""
        fresh = [step for step in due if step.published_at is None]
        lost = [step for step in due if step.published_at is not None and self._is_late(step)]
        if not fresh and not lost:
            return []
        # Asked only when there is something to send: it is a round trip to the broker.
        depth = self._publisher.depth(queue)
        # While messages wait in the queue, those of `lost` may be among them.
        return fresh[: max(0, WINDOW - depth)] + (lost if depth == 0 else [])


def _schedule_span(queue: Queue, step: DueStep) -> AbstractContextManager[tracing.Span]:
    """The span of a task message: the root of the step's trace, or below it for another attempt or a lost message."""
    attempt = step.epoch + 1
    root, place = tracing.attempt_place(step.id), tracing.attempt_place(step.id, attempt)
    lost = step.published_at is not None
    return tracing.span(
        f"schedule {step.kind}",
        kind="producer",
        values={**tracing.step_values(step.run_id, step.name, attempt), "mstar.queue": queue.value},
        under=place if lost else None if attempt == 1 else root,
        at=None if lost else place,
    )
