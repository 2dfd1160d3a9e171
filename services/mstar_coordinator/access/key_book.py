"""Keys in the database: creates, lists, revokes and checks them."""

import secrets
from collections.abc import Callable

from fastapi.concurrency import run_in_threadpool

from mstar.api.keys import OPERATORS_ONLY, Key, KeyCreate, NewKey, Principal
from mstar.errors import Forbidden
from mstar_coordinator.access.key_text import SALT_BYTES, hashed, id_of, matches, new_key
from mstar_coordinator.store.database import Store
from mstar_web.fair_queue import FairQueue

DAY = 86_400.0
CHECKED_TOGETHER, WAITING, WAITING_EACH = 2, 256, 32
"""Hashes that are computed at once, and requests that may wait for one: in all, and with keys of one id."""


class KeyBook:
    """The keyring that is the source of all others."""

    def __init__(self, store: Store, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._store = store
        self._random = random
        self._turns = FairQueue(CHECKED_TOGETHER, waiting=WAITING, waiting_each=WAITING_EACH)

    def create(self, asked: KeyCreate, maker: Principal) -> NewKey:
        """Make a key. Raises Forbidden for a project or a role that the maker may not hand out."""
        project = asked.project or maker.project
        if not maker.operator and project != maker.project:
            raise Forbidden(f"this key makes keys of the project {maker.project} only", field="project")
        if not maker.operator and (beyond := sorted(OPERATORS_ONLY & set(asked.roles))):
            raise Forbidden(f"only an operator hands out the role {beyond[0]}", field="roles")
        text, key_id = new_key(self._random)
        # Before the transaction: a hash takes some 10 ms, and nobody else could write meanwhile.
        kept = hashed(text, self._random(SALT_BYTES))
        with self._store.writing() as tx:
            now = tx.now()
            key = Key(
                id=key_id,
                name=asked.name,
                roles=tuple(sorted(asked.roles)),
                project=project,
                limits=asked.limits,
                created_at=now,
                created_by=maker.name,
                expires_at=None if asked.days is None else now + asked.days * DAY,
            )
            tx.keys.add(key, kept)
        return NewKey(**dict(key), key=text)

    def page(self, reader: Principal, after: str | None, limit: int) -> list[Key]:
        """Keys of the reader's project, or of all for an operator; the newest first."""
        with self._store.reading() as tx:
            return tx.keys.page(None if reader.operator else reader.project, after, limit)

    def revoke(self, key_id: str, who: Principal) -> Key:
        """End a key for good; one that has ended stays as it is. Raises NotFound."""
        with self._store.writing() as tx:
            tx.keys.revoke(key_id, None if who.operator else who.project, tx.now())
            return tx.keys.get(key_id)

    async def find(self, key: str) -> Principal | None:
        """Whose key it is; costs one hash where the id is known. Raises TooManyRequests and Unavailable."""
        key_id = id_of(key)
        found = None if key_id is None else await run_in_threadpool(self._read, key_id)
        # An unknown id costs no hash. That this can be measured tells a stranger nothing: ids are public.
        if key_id is None or found is None:
            return None
        principal, kept = found
        # A flood of guesses at one id waits in that id's own queue.
        async with self._turns.turn(key_id):
            return principal if await run_in_threadpool(matches, key, kept) else None

    def principal(self, key_id: str) -> Principal | None:
        """Who a key that was checked before stands for; None once it has ended."""
        found = self._read(key_id)
        return None if found is None else found[0]

    async def close(self) -> None:
        """The store is closed by who opened it."""

    def _read(self, key_id: str) -> tuple[Principal, str] | None:
        with self._store.reading() as tx:
            found = tx.keys.find(key_id)
            now = tx.now()
        if found is None:
            return None
        key, kept = found
        # By the database's clock, which also wrote `expires_at`.
        if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
            return None
        return (
            Principal(
                name=key.name,
                id=key.id,
                roles=frozenset(key.roles),
                project=key.project,
                limits=key.limits,
                expires_at=key.expires_at,
            ),
            kept,
        )
