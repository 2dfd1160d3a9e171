"""Everything that decides who comes in, put together over one store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from mstar_coordinator.access.key_book import KeyBook
from mstar_coordinator.access.sessions import StoredSessions
from mstar_coordinator.store.database import Store
from mstar_web.keyring import CachedKeyring


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
