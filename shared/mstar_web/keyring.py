"""Where a key is looked up that no setting names: a short memory before whoever knows the keys.

The coordinator's database is the source. Policy and PRM ask the coordinator over HTTP; an answer counts for seconds, so
that a revoked key ends soon, and for minutes while the coordinator does not answer. Keys are remembered by their hash.
"""

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import httpx2
from pydantic import SecretStr, ValidationError

from mstar.api.keys import KEY_TEXT, Introspect, Introspected, Principal
from mstar.errors import Unavailable

FRESH_SECONDS = 15.0
"""A revoked key opens no other process for longer than this."""
UNKNOWN_SECONDS = 2.0
STALE_SECONDS = 300.0
"""How long a key still counts that was known last, while the coordinator does not answer."""
ENTRIES = 4096
INTROSPECT_PATH = "/internal/v1/keys/introspect"
ASK_SECONDS = 5.0
RETRY_AFTER_SECONDS = 2.0

_KEY = re.compile(KEY_TEXT)


class Keyring(Protocol):
    """Knows keys that can be made and revoked at any time."""

    async def find(self, key: str) -> Principal | None:
        """Whose key it is; None when it is unknown, expired or revoked. Raises Unavailable when that can't be told."""

    async def close(self) -> None:
        """Let go of connections."""


class CachedKeyring:
    """Remembers what another keyring answered. For one event loop."""

    def __init__(
        self,
        source: Keyring,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        fresh_seconds: float = FRESH_SECONDS,
    ) -> None:
        """`clock`: monotonic seconds. `wall`: seconds since the epoch, by which keys expire."""
        self._source, self._clock, self._wall, self._fresh = source, clock, wall, fresh_seconds
        self._known: OrderedDict[bytes, tuple[float, Principal | None]] = OrderedDict()
        self._asked: dict[bytes, asyncio.Task[Principal | None]] = {}

    async def find(self, key: str) -> Principal | None:
        """As the source says, or said a few seconds ago."""
        if not _KEY.fullmatch(key):
            return None
        digest = hashlib.sha256(key.encode()).digest()
        at, principal = self._known.get(digest, (None, None))
        age = None if at is None else self._clock() - at
        # A key that was unknown is asked about again soon, since it may just have been made.
        if age is None or age >= (UNKNOWN_SECONDS if principal is None else self._fresh):
            try:
                principal = await self._ask(digest, key)
            except Unavailable:
                # Only a key that was good keeps counting; about an unknown one nothing can be said.
                if principal is None or age is None or age >= STALE_SECONDS:
                    raise
        if principal is not None and principal.expires_at is not None and principal.expires_at <= self._wall():
            return None
        return principal

    def forget(self) -> None:
        """Ask again for every key, because one was revoked."""
        self._known.clear()
        # Questions under way may have been answered before the revocation, and must not be remembered.
        self._asked.clear()

    async def close(self) -> None:
        """Close the source."""
        await self._source.close()

    async def _ask(self, digest: bytes, key: str) -> Principal | None:
        """Ask the source once, however many requests bring the same key meanwhile."""
        task = self._asked.get(digest)
        if task is None:
            task = asyncio.ensure_future(self._source.find(key))
            self._asked[digest] = task
            task.add_done_callback(lambda done: self._note(digest, done))
        # One caller who leaves must not take the answer from the others.
        return await asyncio.shield(task)

    def _note(self, digest: bytes, task: "asyncio.Task[Principal | None]") -> None:
        if self._asked.get(digest) is not task:
            return
        del self._asked[digest]
        if task.cancelled() or task.exception() is not None:
            return
        self._known[digest] = (self._clock(), task.result())
        self._known.move_to_end(digest)
        while len(self._known) > ENTRIES:
            self._known.popitem(last=False)


class RemoteKeyring:
    """Asks the coordinator."""

    def __init__(self, url: str, key: SecretStr | None, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        """`url`: of the coordinator. `key`: the internal one. `transport`: a test's, instead of the network."""
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["authorization"] = f"Bearer {key.get_secret_value()}"
        timeout = httpx2.Timeout(ASK_SECONDS)
        self._http = httpx2.AsyncClient(base_url=url, headers=headers, timeout=timeout, transport=transport)

    async def find(self, key: str) -> Principal | None:
        """Raises Unavailable when the coordinator does not answer, or not as it should."""
        try:
            answer = await self._http.post(INTROSPECT_PATH, content=Introspect(key=key).model_dump_json())
            if answer.status_code == 200:
                return Introspected.model_validate_json(answer.content).principal
        except (httpx2.HTTPError, httpx2.InvalidURL, ValidationError):
            pass
        detail = "this key can't be checked now, since the coordinator does not answer: send this again later"
        raise Unavailable(detail, retry_after=RETRY_AFTER_SECONDS)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def remote_keyring(url: str | None, key: SecretStr | None) -> CachedKeyring | None:
    """The keyring of a service that asks the coordinator; None where no coordinator is named."""
    return None if url is None else CachedKeyring(RemoteKeyring(url, key))
