"""Translates database failures to our errors: the one place that knows codes of SQLite and PostgreSQL.

A database that is away, busy or read-only is `Unavailable`, a full disk `StorageFull`, and a value that no column can
hold `InvalidInput`. Anything else is a fault of the program and stays as it is.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import structlog
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError, PendingRollbackError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mstar.errors import InvalidInput, MstarError, StorageFull, Unavailable

RETRY_SECONDS = 2.0
FULL = "no space left for the database: free some disk, then try again"
UNFIT = "a value in the request cannot be stored: text must be valid Unicode without NUL, numbers at most 2^31"
_SQLITE = {
    sqlite3.SQLITE_BUSY: "is busy",
    sqlite3.SQLITE_LOCKED: "is busy",
    sqlite3.SQLITE_READONLY: "is read-only (is its disk mounted for writing?)",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened (is its folder there, and may it be written?)",
    sqlite3.SQLITE_IOERR: "cannot be read or written (does its disk work, and is it mounted for writing?)",
}
_POSTGRES = {
    "08": "cannot be reached",
    "25": "is read-only",
    "40": "is busy",
    "53": "has no room for more connections",
    "55": "is busy",
    "57": "is shutting down or starting",
}
"""By class of SQLSTATE, its first two characters (PostgreSQL, appendix A)."""

_log = structlog.get_logger(__name__)


class Outage:
    """Logs the beginning and the end of an outage, each once, however many requests meet it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.reason: str | None = None
        """Why the database does not work now; None while it does."""

    def note(self, reason: str | None) -> None:
        """The outcome of a transaction: what was wrong with the database, or None."""
        with self._lock:
            began, ended = self.reason is None and reason is not None, self.reason is not None and reason is None
            self.reason = reason
        if began:
            _log.warning("the database is unavailable", reason=reason)
        if ended:
            _log.warning("the database is available again")


@contextmanager
def translate_errors(outage: Outage) -> Iterator[None]:
    """Around a transaction. Raises Unavailable, StorageFull or InvalidInput for what the database raises."""
    try:
        yield
    except SQLAlchemyError as error:
        translated = _translated(error)
        if translated is None:
            raise
        if translated.status >= Unavailable.status:
            outage.note(translated.detail)
            # `Outage` has a line for the whole outage; one for every request would bury all others.
            translated.logged = True
        raise translated from error
    outage.note(None)


def refuse_unfit_values(engine: Engine) -> None:
    """Have the engine raise InvalidInput for values that its driver cannot pass on."""

    @event.listens_for(engine, "handle_error")
    def handle(context: Any) -> None:
        if isinstance(context.original_exception, OverflowError | UnicodeError):
            raise InvalidInput(UNFIT) from None


def _translated(error: SQLAlchemyError) -> MstarError | None:
    if isinstance(error, PoolTimeout):
        return _away("has no connection free")
    # The connection broke within the transaction, and this is what each later statement of it says.
    if isinstance(error, PendingRollbackError):
        return _away("cannot be reached")
    if not isinstance(error, DBAPIError):
        return None
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        # The low byte is the code itself; extended ones say more above it.
        primary = code & 0xFF
        if primary == sqlite3.SQLITE_FULL:
            return StorageFull(FULL)
        return _away(_SQLITE[primary]) if primary in _SQLITE else None
    state = getattr(error.orig, "sqlstate", None)
    if state == "53100":
        return StorageFull(FULL)
    # Without a code no server has answered: the client could not connect.
    if error.connection_invalidated or (state is None and type(error).__name__ == "OperationalError"):
        return _away("cannot be reached")
    if (state or "")[:2] == "22" or type(error).__name__ == "DataError":
        return InvalidInput(UNFIT)
    reason = _POSTGRES.get((state or "")[:2])
    return None if reason is None else _away(reason)


def _away(reason: str) -> Unavailable:
    return Unavailable(f"the database {reason}: try again", retry_after=RETRY_SECONDS)
