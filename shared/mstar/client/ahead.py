"""Results in order, with requests under way for the items that follow, as many as pays (`mstar.concurrency`)."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Generic, TypeVar

from mstar.concurrency import Concurrency

Item = TypeVar("Item")
Result = TypeVar("Result")
KEPT = 4
"""Results for each request under way that may wait for a slow one before them."""


def ahead(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    concurrency: Concurrency,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Result]:
    """What `work` makes of each item, in their order. `work` is called from several threads.

    What it raises is raised in its item's place, after the results before it; no further item is begun then.
    """
    threads = _Threads(work, concurrency, clock)
    rest = iter(items)
    begun: deque[Future[Result]] = deque()
    more = True
    try:
        while True:
            under_way = [one for one in begun if not one.done()]
            while more and len(under_way) < concurrency.now and len(begun) < KEPT * concurrency.now:
                try:
                    item = next(rest)
                except StopIteration:
                    more = False
                    break
                begun.append(threads.begin(item))
                under_way.append(begun[-1])
            if not begun:
                return
            if begun[0].done():
                yield begun.popleft().result()
            else:
                wait(under_way, return_when=FIRST_COMPLETED)
    finally:
        threads.close()


class _Threads(Generic[Item, Result]):
    """Started as they are needed. Daemons: who presses Ctrl-C does not wait for the requests under way."""

    def __init__(self, work: Callable[[Item], Result], concurrency: Concurrency, clock: Callable[[], float]) -> None:
        self._work, self._concurrency, self._clock = work, concurrency, clock
        self._tasks: SimpleQueue[tuple[Future[Result], Item] | None] = SimpleQueue()
        self._lock = Lock()
        self._started = 0

    def begin(self, item: Item) -> Future[Result]:
        future: Future[Result] = Future()
        if self._started < self._concurrency.now:
            Thread(target=self._run, name=f"ahead-{self._started}", daemon=True).start()
            self._started += 1
        self._tasks.put((future, item))
        return future

    def close(self) -> None:
        """Let go of what was not begun; each thread ends after its own request."""
        try:
            while True:
                self._tasks.get_nowait()
        except Empty:
            for _ in range(self._started):
                self._tasks.put(None)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, item = task
            try:
                result = self._work(item)
            except BaseException as error:
                future.set_exception(error)
                continue
            with self._lock:
                self._concurrency.answered(self._clock())
            future.set_result(result)
