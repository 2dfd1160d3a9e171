"""Limits of a key: requests, images, megapixels and tokens by the minute, and requests under way at once.

They are looked at before a byte of the body is read. What a request costs is noted where it becomes known, by `spend`,
and makes the next one wait where it was too much. Answers carry the fields RateLimit-Policy and RateLimit
(draft-ietf-httpapi-ratelimit-headers). Each process counts by itself: three replicas give three times as much. What
this leaves out: the limits of the service, which are everybody's (`admission`, and the queues of each service).
"""

import time
from collections.abc import Callable
from contextvars import ContextVar

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mstar.api.keys import Limits
from mstar.errors import TooManyRequests
from mstar.rates import Bucket
from mstar_web.auth import principal_of
from mstar_web.bodies import SAFE_METHODS
from mstar_web.problems import problem_response

PERIOD = 60.0
BUSY_RETRY_SECONDS = 1.0
COUNTED = ("requests", "images", "megapixels", "tokens")
"""Limits by the minute: the field `<name>_per_minute` of `Limits`."""


class Account:
    """What one key has used of its limits in this process. For one event loop."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._concurrent = limits.concurrent
        self._buckets = {
            name: Bucket.full(quota, PERIOD, clock())
            for name in COUNTED
            if (quota := getattr(limits, f"{name}_per_minute")) is not None
        }
        self.under_way = 0

    def limits(self, name: str) -> bool:
        """Whether there is a limit of this name."""
        return name in self._buckets

    def admit(self, *, works: bool) -> None:
        """Take a request's place. `works`: it may begin work, so that it counts as under way.

        Raises TooManyRequests with the seconds after which another try may succeed.
        """
        if works and self._concurrent is not None and self.under_way >= self._concurrent:
            detail = f"this key may have {self._concurrent} requests under way at once: wait for an answer"
            raise TooManyRequests(detail, retry_after=BUSY_RETRY_SECONDS)
        now = self._clock()
        for name, bucket in self._buckets.items():
            wait = bucket.wait(now, 1.0 if name == "requests" else 0.0)
            if wait > 0:
                detail = f"this key has used its {bucket.quota:.0f} {name} a minute: send this again later"
                raise TooManyRequests(detail, retry_after=wait)
        # After all checks: a request that is refused costs nothing.
        self.spend("requests", 1)
        self.under_way += works

    def spend(self, name: str, amount: float) -> None:
        """Note what was used."""
        if name in self._buckets:
            self._buckets[name].spend(self._clock(), amount)

    def headers(self) -> dict[str, str]:
        """RateLimit-Policy and RateLimit; none where nothing is limited by the minute."""
        now = self._clock()
        if not self._buckets:
            return {}
        policy = ", ".join(f'"{name}";q={bucket.quota:.0f};w={PERIOD:.0f}' for name, bucket in self._buckets.items())
        state = ", ".join(
            f'"{name}";r={bucket.remaining(now)};t={bucket.seconds_to_full(now)}'
            for name, bucket in self._buckets.items()
        )
        return {"RateLimit-Policy": policy, "RateLimit": state}


# A context variable, because costs become known deep inside of a service, where no request is at hand.
_account: ContextVar[Account | None] = ContextVar("mstar_account", default=None)


def spend(*, images: int = 0, megapixels: float = 0.0, tokens: int = 0) -> None:
    """Note what the request under way has used; nothing happens where its key has no limits."""
    account = _account.get()
    if account is not None:
        for name, amount in (("images", images), ("megapixels", megapixels), ("tokens", tokens)):
            account.spend(name, amount)


def tokens_are_limited() -> bool:
    """Whether the tokens of the request under way must be counted."""
    account = _account.get()
    return account is not None and account.limits("tokens")


class KeyLimits:
    """Answers 429 where a key has used what it may."""

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = time.monotonic) -> None:
        self.app = app
        self._clock = clock
        self._accounts: dict[str, Account] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = principal_of(scope) if scope["type"] == "http" else None
        if principal is None or principal.id is None or principal.limits == Limits():
            await self.app(scope, receive, send)
            return
        account = self._accounts.setdefault(principal.id, Account(principal.limits, self._clock))
        works = scope["method"] not in SAFE_METHODS

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(account.headers())
            await send(message)

        try:
            account.admit(works=works)
        except TooManyRequests as error:
            await problem_response(error)(scope, receive, with_headers)
            return
        token = _account.set(account)
        try:
            await self.app(scope, receive, with_headers)
        finally:
            account.under_way -= works
            _account.reset(token)
