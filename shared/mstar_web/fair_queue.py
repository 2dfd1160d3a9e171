"""Fair queueing for something scarce: a few requests at once, and callers that wait are served in rotation.

A caller who sends a hundred requests gets every second turn beside one who sends one. What this leaves out: who a
caller is (`auth.caller_of`).
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mstar.errors import TooManyRequests

RETRY_AFTER_SECONDS = 2.0


class FairQueue:
    """At most `slots` pieces of work at once. For one event loop."""

    def __init__(self, slots: int, *, waiting: int, waiting_each: int) -> None:
        """`waiting`, `waiting_each`: how many may wait, of all callers and of one, before others are refused."""
        self._free = slots
        self._limit, self._limit_each = waiting, waiting_each
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._waiting = 0

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """Wait for a turn and hold it for the block. Raises TooManyRequests when too many wait already."""
        # While a turn is free nobody waits: one that ends goes to who waits first (`_pass_on`).
        if self._free:
            self._free -= 1
        else:
            await self._wait(caller)
        try:
            yield
        finally:
            self._pass_on()

    def require_room(self, caller: str) -> None:
        """Raises TooManyRequests when a further piece of work could not even wait."""
        if self._free:
            return
        queue = self._queues.get(caller)
        if self._waiting >= self._limit or (queue is not None and len(queue) >= self._limit_each):
            raise TooManyRequests("too much work is waiting: send this again later", retry_after=RETRY_AFTER_SECONDS)

    async def _wait(self, caller: str) -> None:
        self.require_room(caller)
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(caller, deque()).append(called)
        self._waiting += 1
        try:
            await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():
                self._pass_on()  # the turn came in the same moment
            else:
                self._leave(caller, called)
            raise

    def _pass_on(self) -> None:
        """Give the turn to the next caller in rotation."""
        while self._queues:
            caller, queue = next(iter(self._queues.items()))
            called = queue.popleft()
            self._waiting -= 1
            # To the end of the rotation, so that everybody else comes before this caller's next one.
            if queue:
                self._queues.move_to_end(caller)
            else:
                del self._queues[caller]
            if not called.done():
                called.set_result(None)
                return
        self._free += 1

    def _leave(self, caller: str, called: "asyncio.Future[None]") -> None:
        queue = self._queues.get(caller)
        if queue is not None and called in queue:
            queue.remove(called)
            self._waiting -= 1
            if not queue:
                del self._queues[caller]
