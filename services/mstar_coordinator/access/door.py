"""Authentication of the coordinator over one store: keys, sessions, and sign-in at a provider."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers

from mstar.api.keys import Principal
from mstar_coordinator.access.key_book import KeyBook
from mstar_coordinator.access.sessions import StoredSessions
from mstar_coordinator.store.database import Store
from mstar_web.keyring import CachedKeyring
from mstar_web.sessions import session_token

StillIn = Callable[[], Awaitable[bool]]
"""Whether who was let in still would be. Raises Unavailable."""


@dataclass(frozen=True)
class Door:
    """Keys and sessions of one coordinator."""

    keys: KeyBook
    keyring: CachedKeyring
    """Has the same keys, from memory where it was asked before."""
    sessions: StoredSessions

    @classmethod
    def over(cls, store: Store, bootstrap: Mapping[str, str], session_seconds: float, provider: bytes = b"") -> Self:
        """`bootstrap`: role → key of the settings. `session_seconds`: how long a person stays signed in.

        `provider`: see `StoredSessions`.
        """
        keys = KeyBook(store)
        keyring = CachedKeyring(keys, wall=store.wall)
        return cls(keys, keyring, StoredSessions(store, keys, keyring, bootstrap, session_seconds, provider=provider))

    async def watched(self, caller: Principal, headers: Headers) -> StillIn:
        """What to ask from time to time while an answer goes on for hours: keys are revoked and expire, sessions end.

        `headers`: of the caller's request, which was let in.
        """
        token = None if "authorization" in headers else session_token(headers)
        # Asked once more: where no key is asked for, a browser may send the cookie of a session that ended long ago.
        if token is not None and await self.sessions.of(token) is not None:
            return partial(self._is_signed_in, token)
        return partial(self._is_known, caller.id)

    async def _is_signed_in(self, token: str) -> bool:
        return await self.sessions.of(token) is not None

    async def _is_known(self, key_id: str | None) -> bool:
        # Keys of the settings have no id, and stay until the service is started anew.
        return key_id is None or await run_in_threadpool(self.keys.principal, key_id) is not None
