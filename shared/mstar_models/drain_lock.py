"""A lock between requests and the exchange of weights: requests share it, a load waits until none is running."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from mstar.errors import Unavailable

Result = TypeVar("Result")


class DrainLock:
    """Requests hold it together; a load holds it alone, and later requests wait for the load."""

    def __init__(self, drain_seconds: float) -> None:
        """`drain_seconds`: how long a load waits for running requests."""
        self._drain_seconds = drain_seconds
        self._users = 0
        self._open, self._unused = asyncio.Event(), asyncio.Event()
        self._open.set()
        self._unused.set()

    @asynccontextmanager
    async def using(self) -> AsyncIterator[None]:
        """Hold it for a request."""
        # No await between this check and the count below, so no load can begin in between; one event loop.
        while not self._open.is_set():
            await self._open.wait()
        self._users += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    @asynccontextmanager
    async def drained(self) -> AsyncIterator[None]:
        """Hold it alone. Raises Unavailable when running requests take too long; they go on, and new ones may begin."""
        # One load at a time: callers hold a lock of their own, or the first to leave would open for the second.
        self._open.clear()
        try:
            await within(self._unused.wait(), self._drain_seconds, "waiting for running requests")
            yield
        finally:
            self._open.set()


async def within(work: Awaitable[Result], seconds: float, what: str) -> Result:
    """The result of `work`. Raises Unavailable, which names `what`, when it takes longer."""
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError:
        raise Unavailable(f"{what} took more than {seconds:.0f} s", retry_after=5.0) from None
