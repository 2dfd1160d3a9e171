"""Statements on the sessions of people in browsers."""

from dataclasses import astuple, dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select

from mstar.api.keys import DEFAULT_PROJECT
from mstar.errors import NotFound
from mstar_coordinator.store.tables import api_keys, sessions

ID_DIGITS = 16
"""Of the digest, which names a session to people. It opens nothing: only the cookie gives the digest."""


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
    name: str = ""
    """Who it is, for lists."""
    project: str = DEFAULT_PROJECT

    @property
    def id(self) -> str:
        """How lists name it."""
        return self.digest[:ID_DIGITS]


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

    def page(
        self, project: str | None, name: str | None, after: str | None, now: float, limit: int
    ) -> list[SessionRecord]:
        """Open sessions of a project, or of all; the newest first. `after` is the id of the last one already seen.

        Raises NotFound where that is none of them.
        """
        query = select(sessions).where(*_open(project, now)).limit(limit)
        if name is not None:
            query = query.where(sessions.c.name == name)
        if after is not None:
            last = self.get(after, project, now)
            query = query.where(
                or_(
                    sessions.c.created_at < last.created_at,
                    and_(sessions.c.created_at == last.created_at, sessions.c.digest < last.digest),
                )
            )
        rows = self._connection.execute(query.order_by(sessions.c.created_at.desc(), sessions.c.digest.desc()))
        return [SessionRecord(*row) for row in rows]

    def get(self, session_id: str, project: str | None, now: float) -> SessionRecord:
        """An open session of a project, or of any. Raises NotFound."""
        # What is not an id could be the beginning of many.
        wanted = sessions.c.digest.startswith(session_id, autoescape=True)
        row = self._connection.execute(select(sessions).where(wanted, *_open(project, now))).first()
        if row is None or len(session_id) != ID_DIGITS:
            raise NotFound(
                f"no session {session_id[:64]!r} is open: list them with GET /v1/sessions", field="session_id"
            )
        return SessionRecord(*row)

    def remove_of(self, name: str, project: str | None, now: float) -> int:
        """Forget all open sessions of a name, in a project or in all; how many. Raises NotFound where there is none."""
        found = self._connection.execute(delete(sessions).where(sessions.c.name == name, *_open(project, now)))
        if not found.rowcount:
            raise NotFound(
                f"nobody called {name[:64]!r} is signed in: list sessions with GET /v1/sessions", field="name"
            )
        return found.rowcount

    def remove_ended(self, now: float) -> None:
        """Forget all whose time is over."""
        self._connection.execute(delete(sessions).where(sessions.c.expires_at <= now))


def _open(project: str | None, now: float) -> list[ColumnElement[bool]]:
    """What is true of a session that has not ended, as far as the database knows."""
    over = or_(api_keys.c.revoked_at.is_not(None), api_keys.c.expires_at <= now)
    ended = select(api_keys.c.id).where(over)
    found = [sessions.c.expires_at > now, or_(sessions.c.key_id.is_(None), sessions.c.key_id.not_in(ended))]
    return found if project is None else [*found, sessions.c.project == project]
