"""Who may use an engine while its weights are exchanged: many together, or the one load. And patience with a phase."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from mstar.errors import Unavailable

Result = TypeVar("Result")


class Door:
    """Requests go through together; a load waits until none is inside and keeps later ones out meanwhile."""

    def __init__(self, patience_seconds: float) -> None:
        """`patience_seconds`: how long a load waits for those inside."""
        self._patience = patience_seconds
        self._inside = 0
        self._open, self._empty = asyncio.Event(), asyncio.Event()
        self._open.set()
        self._empty.set()

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        while not self._open.is_set():
            await self._open.wait()
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    @asynccontextmanager
    async def shut(self) -> AsyncIterator[None]:
        """Raises Unavailable when those inside take too long; they go on, and the door is open again."""
        self._open.clear()
        try:
            await within(self._empty.wait(), self._patience, "waiting for running requests")
            yield
        finally:
            self._open.set()


async def within(work: Awaitable[Result], seconds: float, what: str) -> Result:
    """The result of `work`. Raises Unavailable, which names `what`, when it takes longer."""
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError:
        raise Unavailable(f"{what} took more than {seconds:.0f} s", retry_after=5.0) from None
