"""Admission before a body is read: how many requests, and how many bytes of bodies, may be under way at once.

A refusal costs nothing: no byte of the body is read for it. Only requests that may carry a body are counted, so that
health checks, lists and event streams always pass. Work that waits inside a service counts tokens, samples or turns;
where a service can tell beforehand that there is no room, it is asked here too.
"""

from collections import Counter
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mstar.errors import TooManyRequests, Unavailable
from mstar_web.auth import caller_of
from mstar_web.bodies import SAFE_METHODS, BodyBound

REQUESTS = 512
REQUESTS_EACH = 256
BODY_BYTES = 256 * 2**20
RETRY_AFTER_SECONDS = 2.0


class Admission:
    """Refuses requests while too many, or too many bytes of their bodies, are under way.

    Raises TooManyRequests (429) when the caller's own are, Unavailable (503) when those of all together are.
    """

    def __init__(
        self,
        app: ASGIApp,
        requests: int = REQUESTS,
        requests_each: int = REQUESTS_EACH,
        body_bytes: int = BODY_BYTES,
        room: Callable[[str, str], None] = lambda path, caller: None,
    ) -> None:
        """`requests_each`: of one caller.

        One caller may hold half of `body_bytes`; a body is admitted when it is the only one. `room` raises where what
        is behind a path has none left for a caller.
        """
        self.app, self._room = app, room
        self._limit, self._limit_each, self._bytes_limit = requests, requests_each, body_bytes
        self._requests: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self.app(scope, receive, send)
            return
        caller, size = caller_of(scope), _announced(scope)
        self._check(caller, size)
        self._room(scope["path"], caller)
        self._requests[caller] += 1
        self._bytes[caller] += size
        held = True

        def release() -> None:
            # Called once the body has become a value, and at the latest at the end of the request.
            nonlocal held
            if held:
                held = False
                _give_back(self._bytes, caller, size)

        scope["mstar.release"] = release
        try:
            await self.app(scope, receive, send)
        finally:
            release()
            _give_back(self._requests, caller, 1)

    def _check(self, caller: str, size: int) -> None:
        own, all_ = self._bytes[caller], self._bytes.total()
        if self._requests[caller] >= self._limit_each or (own and own + size > self._bytes_limit // 2):
            detail = "too many requests of yours are under way: send this again later"
            raise TooManyRequests(detail, retry_after=RETRY_AFTER_SECONDS)
        if self._requests.total() >= self._limit or (all_ and all_ + size > self._bytes_limit):
            detail = "too many requests are under way: send this again later"
            raise Unavailable(detail, retry_after=RETRY_AFTER_SECONDS)


def _announced(scope: Scope) -> int:
    """Bytes that the body may have: its declared length, or for a chunked one all that the route takes."""
    bound: BodyBound = scope["mstar.bound"]
    headers = Headers(scope=scope)
    length = headers.get("content-length", "")
    if length.isdecimal():
        # A number of more digits has been refused already (`BodyLimit`).
        return min(int(length[:19]), bound.bytes)
    return bound.bytes if "transfer-encoding" in headers else 0


def _give_back(counter: "Counter[str]", caller: str, amount: int) -> None:
    counter[caller] -= amount
    # Names of callers come from outside: only those with something under way are kept.
    if counter[caller] <= 0:
        del counter[caller]
