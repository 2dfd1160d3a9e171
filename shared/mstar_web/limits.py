"""Limits on one request: the size of its body, and the life of its work.

A body is counted as it arrives, so a chunked one without a length is limited as well. Work for a caller who has gone
away is cancelled.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mstar.errors import ClientGone, TooLarge
from mstar_web.bodies import BodyBound

Result = TypeVar("Result")


class BodyLimit:
    """Raises TooLarge (413) once a request body exceeds what its path takes."""

    def __init__(self, app: ASGIApp, bounds: Mapping[str, BodyBound]) -> None:
        """`bounds`: beginning of a path → bound; the longest that fits counts, and the default where none does."""
        self.app = app
        self._bounds = sorted(bounds.items(), key=lambda item: -len(item[0]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        bound = next((bound for path, bound in self._bounds if scope["path"].startswith(path)), BodyBound())
        scope["mstar.bound"] = bound
        length = Headers(scope=scope).get("content-length", "")
        # A number of more than 19 digits is too large without being read.
        if length.isdecimal() and (len(length) > 19 or int(length) > bound.bytes):
            raise _too_large(bound)
        seen = 0

        # The declared length may be missing or wrong, so what arrives is counted as well.
        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > bound.bytes:
                raise _too_large(bound)
            return message

        await self.app(scope, counted, send)


def _too_large(bound: BodyBound) -> TooLarge:
    return TooLarge(f"request body is larger than {bound.bytes} bytes: send fewer items in one request")


async def until_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Result of `work`, which is cancelled when the caller disconnects first. Raises ClientGone then."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        # Nobody else reads from the connection now: the body has been read, so the next message is its end.
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone("the connection was closed before the answer was ready")
        return task.result()
    finally:
        # Both are awaited, or a cancelled task would be reported as never retrieved.
        for future in (task, gone):
            future.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await future


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
