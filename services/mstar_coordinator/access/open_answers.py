"""Ends answers that are being sent when the key or session ends that asked for them.

A download of a checkpoint takes hours, and whoever asked may have lost the right to it meanwhile. It breaks off like a
connection, so that nobody takes a part for the whole, and going on with it asks for a key again. What this leaves out:
streams of events, which end in order by themselves, and what a key has started: runs and batches are the project's.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mstar.api.keys import Principal
from mstar.errors import MstarError
from mstar_coordinator.access.door import StillIn
from mstar_web.auth import principal_of
from mstar_web.bodies import SAFE_METHODS

LOOK_SECONDS = 15.0
"""As long as policy and PRM remember whose a key is."""

_log = structlog.get_logger(__name__)


class EndsWithItsKey:
    """Middleware around everything; it looks again before a piece of an answer that is under way for so long."""

    def __init__(
        self,
        app: ASGIApp,
        watched: Callable[[Principal, Headers], Awaitable[StillIn]],
        seconds: float = LOOK_SECONDS,
    ) -> None:
        """`watched`: what to ask about a caller, by the headers of the request."""
        self.app = app
        self._watched, self._seconds = watched, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in SAFE_METHODS:
            await self.app(scope, receive, send)
            return
        over = asyncio.Event()
        looked = time.monotonic()

        async def unless_over(message: Message) -> None:
            nonlocal looked
            if message.get("more_body") and time.monotonic() - looked >= self._seconds and not over.is_set():
                looked = time.monotonic()
                if not await self._still_in(scope):
                    _log.info("an answer broke off: the key or session behind it has ended", path=scope["path"][:200])
                    over.set()
            if not over.is_set():
                await send(message)

        async def or_over() -> Message:
            return await _first(receive, over)

        await self.app(scope, or_over, unless_over)

    async def _still_in(self, scope: Scope) -> bool:
        try:
            ask = await self._watched(principal_of(scope), Headers(scope=scope))
            return await ask()
        except MstarError:
            # The database is away: who was let in stays, as at the other services.
            return True


async def _first(receive: Receive, over: asyncio.Event) -> Message:
    """What comes next from the caller, who counts as gone once it is over: then nothing more is read for the answer."""
    coming, ending = asyncio.ensure_future(receive()), asyncio.ensure_future(over.wait())
    try:
        await asyncio.wait({coming, ending}, return_when=asyncio.FIRST_COMPLETED)
        return coming.result() if coming.done() else {"type": "http.disconnect"}
    finally:
        coming.cancel()
        ending.cancel()
