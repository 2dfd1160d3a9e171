"""Statements on the sessions of people in browsers."""

from dataclasses import astuple, dataclass

from sqlalchemy import Connection, delete, insert, select

from mstar_coordinator.store.tables import sessions


@dataclass(frozen=True)
class SessionRecord:
    """One session. Times are seconds since the epoch."""

    digest: str
    """SHA-256 of what the cookie holds."""
    key_id: str | None
    """The key that it began with; None for a bootstrap key, and where a provider vouched."""
    proof: str | None
    """Shows which bootstrap key, or which settings of the provider, it began with."""
    created_at: float
    expires_at: float
    principal: str | None = None
    """JSON of who it is, where no key says so."""


class SessionRows:
    """All sessions, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, session: SessionRecord) -> None:
        """Write a new session."""
        self._connection.execute(insert(sessions).values(astuple(session)))

    def find(self, digest: str) -> SessionRecord | None:
        """A session, also one whose time is over."""
        row = self._connection.execute(select(sessions).where(sessions.c.digest == digest)).first()
        return None if row is None else SessionRecord(*row)

    def remove(self, digest: str) -> None:
        """Forget a session."""
        self._connection.execute(delete(sessions).where(sessions.c.digest == digest))

    def remove_ended(self, now: float) -> None:
        """Forget all whose time is over."""
        self._connection.execute(delete(sessions).where(sessions.c.expires_at <= now))
