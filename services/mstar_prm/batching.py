"""A queue in front of one worker thread that takes what waits, as much as a forward pass holds.

Requests of many callers meet here; a caller that went away is dropped before its turn. What this leaves out: what a
batch computes.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from mstar.errors import TooManyRequests, Unavailable

Job = TypeVar("Job")
Result = TypeVar("Result")


class Batcher(Generic[Job, Result]):
    """Runs `work` on batches of waiting jobs in a thread of its own."""

    def __init__(
        self,
        work: Callable[[Sequence[Job]], Iterable[tuple[int, Result | Exception]]],
        *,
        batch_size: int,
        waiting_size: int,
    ) -> None:
        """`work` gives the result of each job with the job's place, in any order.

        A caller gets its result as soon as it is there: a batch may be several forward passes, and nobody should wait
        for those of others.
        """
        self._work = work
        self._batch_size = batch_size
        self._waiting_size = waiting_size
        self._waiting: OrderedDict[Future[Result], tuple[Job, int]] = OrderedDict()
        self._size = 0
        """Of all that waits."""
        self._running = False
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="scorer", daemon=True)
        self._thread.start()

    async def submit(self, job: Job, size: int) -> Result:
        """Wait for a job's result.

        Raises TooManyRequests when the queue is full, Unavailable once it is closed, and whatever the work raised.
        """
        # A future of threads, not of asyncio: the worker sets it, and knows no loop.
        future: Future[Result] = Future()
        with self._changed:
            if self._closed:
                raise _stopping()
            # A job that is larger than the whole queue is taken when nothing waits, or it would never be done.
            if self._size and self._size + size > self._waiting_size:
                raise TooManyRequests("too much work is waiting: send this again later", retry_after=2)
            self._size += size
            self._waiting[future] = job, size
            self._changed.notify_all()
        try:
            return await asyncio.wrap_future(future)
        finally:
            self._leave(future)

    def drain(self) -> None:
        """Block until nothing waits or runs, also of what nobody waits for any more, or until it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not (self._waiting or self._running))

    def close(self) -> None:
        """Finish the running batch; what waits gets Unavailable."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _leave(self, future: Future[Result]) -> None:
        """Give the place of a job whose caller went away before its turn to others."""
        with self._changed:
            # None where the job was taken: its batch is under way, and its place has been given back.
            left = self._waiting.pop(future, None)
            if left is not None:
                self._size -= left[1]
                self._changed.notify_all()

    def _run(self) -> None:
        # A method of its own for each batch: a variable here would hold the last one, and its model, until the next.
        while self._run_batch():
            with self._changed:
                self._running = False
                self._changed.notify_all()

    def _run_batch(self) -> bool:
        """Do one batch; False when closed."""
        taken = self._take()
        futures = dict(enumerate(future for _, future in taken))
        try:
            for place, result in self._work([job for job, _ in taken]) if taken else ():
                _settle(futures.pop(place), result)
            if futures:
                raise RuntimeError("the work left jobs of its batch without a result")
        except Exception as error:
            # Whatever it is, the callers wait for it; raised here, it would end the thread and every later request.
            # The same error may go to many callers; each raises it in a task of its own.
            for future in futures.values():
                _settle(future, error)
        return bool(taken)

    def _take(self) -> list[tuple[Job, Future[Result]]]:
        """Jobs for one batch, in order of arrival; empty only when closed."""
        with self._changed:
            taken: list[tuple[Job, Future[Result]]] = []
            while not taken:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    for future in self._waiting:
                        if future.set_running_or_notify_cancel():
                            future.set_exception(_stopping())
                    return []
                # The first job is taken whatever its size, or one that is larger than a batch would wait for ever.
                room = self._batch_size
                while self._waiting and (not taken or self._next_size() <= room):
                    future, (job, size) = self._waiting.popitem(last=False)
                    self._size -= size
                    if future.set_running_or_notify_cancel():
                        taken.append((job, future))
                        room -= size
                self._running = bool(taken)
                self._changed.notify_all()
            return taken

    def _next_size(self) -> int:
        return next(iter(self._waiting.values()))[1]


def _settle(future: "Future[Result]", result: Result | Exception) -> None:
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def _stopping() -> Unavailable:
    return Unavailable("the service is stopping: send this again to another one", retry_after=2)
