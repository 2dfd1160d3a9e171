"""Sessions of people in browsers, in the database: a key is shown once, and a cookie stands for it from then on.

A session ends with its time, when its user signs out or somebody with run_admin ends it, and with the key that it
began with: a key of the database that is revoked or expires, a bootstrap key that settings change. One that a provider
vouched for ends when its settings change. The database never has what the cookie holds.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping

from fastapi.concurrency import run_in_threadpool

from mstar.api.keys import Principal
from mstar.api.sessions import OpenSession
from mstar_coordinator.access.key_book import KeyBook
from mstar_coordinator.store.database import Store
from mstar_coordinator.store.sessions import SessionRecord
from mstar_web.auth import bootstrap_principals
from mstar_web.keyring import Keyring

TOKEN_BYTES = 32


class StoredSessions:
    """Begins, finds and ends sessions."""

    def __init__(
        self,
        store: Store,
        book: KeyBook,
        keyring: Keyring,
        bootstrap: Mapping[str, str],
        seconds: float,
        random: Callable[[int], str] = secrets.token_urlsafe,
        provider: bytes = b"",
    ) -> None:
        """`keyring`: checks keys, perhaps from memory. `bootstrap`: role → key of the settings.

        `seconds`: how long a session lasts. `provider`: settings of the provider that vouches for people, if there is
        one; their sessions end when it changes.
        """
        self.seconds = seconds
        self._store, self._book, self._keyring, self._random = store, book, keyring, random
        self._bootstrap = bootstrap_principals(bootstrap)
        self._provider = provider

    async def begin(self, key: str) -> tuple[str, Principal] | None:
        """Begin a session for a key: what its cookie holds, and who it is. None for a key that opens nothing."""
        token = self._random(TOKEN_BYTES)
        # Compared with every one, in constant time, so that the time of the answer tells nothing of the keys.
        matching = [own for own in self._bootstrap if hmac.compare_digest(own, key.encode())]
        if key and matching:
            principal, proof = self._bootstrap[matching[0]], _proof(matching[0], token)
        else:
            found = await self._keyring.find(key)
            if found is None:
                return None
            principal, proof = found, None
        await run_in_threadpool(self._add, token, principal, proof)
        return token, principal

    async def begin_for(self, principal: Principal) -> str:
        """Begin a session for whom the provider vouches for: what its cookie holds."""
        token = self._random(TOKEN_BYTES)
        proof = _proof(self._provider, token)
        await run_in_threadpool(self._add, token, principal, proof, principal.model_dump_json())
        return token

    async def of(self, token: str) -> Principal | None:
        """Whose session it is; None once it has ended."""
        return await run_in_threadpool(self._find, token)

    def end(self, token: str) -> None:
        """End a session."""
        with self._store.writing() as tx:
            tx.sessions.remove(_digest(token))

    def page(self, reader: Principal, name: str | None, after: str | None, limit: int) -> list[OpenSession]:
        """Open sessions of the reader's project, or of all for an operator; the newest first. Raises NotFound."""
        with self._store.reading() as tx:
            return [_shown(one) for one in tx.sessions.page(_scope(reader), name, after, tx.now(), limit)]

    def end_one(self, session_id: str, who: Principal) -> OpenSession:
        """End somebody's session. Raises NotFound, also for one of another project."""
        with self._store.writing() as tx:
            found = tx.sessions.get(session_id, _scope(who), tx.now())
            tx.sessions.remove(found.digest)
        return _shown(found)

    def end_of(self, name: str, who: Principal) -> int:
        """End all sessions of somebody; how many. Raises NotFound where there is none."""
        with self._store.writing() as tx:
            return tx.sessions.remove_of(name, _scope(who), tx.now())

    def _add(self, token: str, who: Principal, proof: str | None, vouched: str | None = None) -> None:
        with self._store.writing() as tx:
            now = tx.now()
            # Here, since nothing else needs them gone: the table grows with sign-ins only.
            tx.sessions.remove_ended(now)
            begun = SessionRecord(
                _digest(token), who.id, proof, now, now + self.seconds, vouched, name=who.name, project=who.project
            )
            tx.sessions.add(begun)

    def _find(self, token: str) -> Principal | None:
        with self._store.reading() as tx:
            session, now = tx.sessions.find(_digest(token)), tx.now()
        if session is None or session.expires_at <= now:
            return None
        if session.principal is not None:
            known = self._provider and hmac.compare_digest(_proof(self._provider, token), session.proof or "")
            return Principal.model_validate_json(session.principal) if known else None
        if session.key_id is not None:
            # Looked up each time, so that a revoked key ends its sessions at once.
            return self._book.principal(session.key_id)
        return next(
            (
                principal
                for key, principal in self._bootstrap.items()
                if hmac.compare_digest(_proof(key, token), session.proof or "")
            ),
            None,
        )


def _scope(who: Principal) -> str | None:
    """The project whose sessions somebody may see and end; None for all."""
    return None if who.operator else who.project


def _shown(session: SessionRecord) -> OpenSession:
    return OpenSession(
        id=session.id,
        name=session.name,
        key_id=session.key_id,
        project=session.project,
        created_at=session.created_at,
        expires_at=session.expires_at,
    )


def _digest(token: str) -> str:
    # The token is 256 random bits, so a fast hash is enough.
    return hashlib.sha256(token.encode()).hexdigest()


def _proof(key: bytes, token: str) -> str:
    """Binds a session to a bootstrap key, which nobody can guess from it without the token, which is stored nowhere."""
    return hmac.new(key, token.encode(), hashlib.sha256).hexdigest()
