"""Opens the SQL database and hands out transactions: SQLite in WAL mode by default, PostgreSQL by URL."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from mstar.errors import Conflict, InvalidInput
from mstar_coordinator.store.audit import AuditLog
from mstar_coordinator.store.batches import Batches
from mstar_coordinator.store.baton import Baton
from mstar_coordinator.store.events import Events
from mstar_coordinator.store.faults import Outage, refuse_unfit_values, translate_errors
from mstar_coordinator.store.keys import Keys
from mstar_coordinator.store.run_tags import RunTags
from mstar_coordinator.store.runs import Runs
from mstar_coordinator.store.schema import migrate
from mstar_coordinator.store.sessions import SessionRows
from mstar_coordinator.store.steps import Steps
from mstar_coordinator.store.studies import Studies
from mstar_coordinator.store.suspects import Suspects

BUSY_SECONDS = 30.0
"""How long a SQLite transaction waits for another to end before it fails."""
POOL_SECONDS = 10.0
"""How long a request waits for a connection when all are in use."""
POSTGRES = {"connect_timeout": 5, "tcp_user_timeout": 10_000, "client_encoding": "UTF8"}
"""Seconds to connect, and milliseconds for which sent data may stay unacknowledged.

Without the encoding psycopg returns bytes for texts where the database has none (SQL_ASCII, as `initdb` makes it under
LANG=C).
"""


@dataclass(frozen=True)
class Transaction:
    """Everything in it happens together or not at all."""

    runs: Runs
    steps: Steps
    events: Events
    suspects: Suspects
    tags: RunTags
    keys: Keys
    sessions: SessionRows
    audit: AuditLog
    studies: Studies
    batches: Batches
    now: Callable[[], float]
    """The time of day by the database's clock, in seconds since the epoch: one clock for all that write to it."""


class Store:
    """The database. One process at a time opens a SQLite file; see `open_store`."""

    def __init__(self, engine: Engine, lock: int | None, wall: Callable[[], float] = time.time) -> None:
        """`wall`: the time of day where the database is a file and has no clock of its own."""
        self._engine = engine
        self._lock = lock
        self.wall = wall
        self._outage = Outage()

    @property
    def alone(self) -> bool:
        """Whether no other coordinator can have this database open, nor the folders that go with it."""
        return self._engine.dialect.name == "sqlite"

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """A transaction that may write. On SQLite it is the only one; on PostgreSQL it locks the runs it changes.

        Raises StorageFull when the disk is, and Unavailable when another transaction does not end.
        """
        with (
            translate_errors(self._outage),
            self._engine.connect().execution_options(mstar_writes=True) as connection,
            connection.begin(),
        ):
            yield self._transaction(connection)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A view that never waits for writers: on SQLite of one moment, on PostgreSQL of one moment a statement.

        Raises Unavailable.
        """
        with translate_errors(self._outage), self._engine.connect() as connection, connection.begin():
            yield self._transaction(connection)

    def check(self) -> None:
        """Return when a transaction that writes could be made now. Raises Unavailable."""
        # One that only reads would succeed on a full or read-only disk as well.
        with self.writing() as tx:
            tx.now()

    def baton(self, key: int) -> Baton:
        """What one coordinator at a time may hold. Close it before the store."""
        return Baton(self._engine, self._outage, key)

    def _transaction(self, connection: Connection) -> Transaction:
        now = self.wall if connection.dialect.name == "sqlite" else lambda: _clock_of(connection)
        return Transaction(
            runs=Runs(connection),
            steps=Steps(connection),
            events=Events(connection),
            suspects=Suspects(connection),
            tags=RunTags(connection),
            keys=Keys(connection),
            sessions=SessionRows(connection),
            audit=AuditLog(connection),
            studies=Studies(connection),
            batches=Batches(connection),
            now=now,
        )

    def close(self) -> None:
        """Close all connections and let another process open the database."""
        self._engine.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def open_store(url: str, wall: Callable[[], float] = time.time) -> Store:
    """Open a database and bring its tables up to date. `wall`: the time of day, used with SQLite only.

    Raises Conflict when another coordinator has the same SQLite file open: each would take the other's leases for its
    own to expire. Raises InvalidInput for a URL that is not a database, and for tables of a newer release.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InvalidInput("database_url is not a database URL, such as sqlite:////data/mstar.sqlite") from None
    if parsed.get_backend_name() != "sqlite":
        return _opened(
            create_engine(
                parsed,
                pool_size=16,
                max_overflow=16,
                # A connection that the server has closed since is replaced before a request meets it.
                pool_pre_ping=True,
                pool_timeout=POOL_SECONDS,
                connect_args=POSTGRES,
            ),
            None,
            wall,
        )
    if not parsed.database or parsed.database == ":memory:":
        raise InvalidInput("database_url needs a file, such as sqlite:////data/mstar.sqlite: the database must last")
    path = Path(parsed.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file of its own: closing any descriptor of the database itself would drop SQLite's own locks (POSIX).
    lock = _take_lock(path.with_name(path.name + ".lock"))
    engine = create_engine(parsed, pool_size=16, max_overflow=32, connect_args={"timeout": BUSY_SECONDS})
    _configure_sqlite(engine)
    return _opened(engine, lock, wall)


def _opened(engine: Engine, lock: int | None, wall: Callable[[], float]) -> Store:
    refuse_unfit_values(engine)
    store = Store(engine, lock, wall)
    try:
        with translate_errors(Outage()):
            migrate(engine)
    except BaseException:
        store.close()
        raise
    return store


def _take_lock(path: Path) -> int:
    """Hold an advisory lock on a file beside the database; the system drops it when this process ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise Conflict(
            f"another coordinator has {path.name.removesuffix('.lock')} open: stop it, or set another home"
        ) from None
    return descriptor


def _configure_sqlite(engine: Engine) -> None:
    """Durable WAL, and transactions that begin when we say so.

    `synchronous=FULL` costs one fsync a commit. NORMAL may lose the last commits to a power cut, and with them an epoch
    that a worker on another machine still holds: two workers would then hold the same one.
    """

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        # Else the driver begins transactions by itself, and only before the first write.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction that reads first and then writes fails at once when another wrote in between.
        writes = connection.get_execution_options().get("mstar_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _clock_of(connection: Connection) -> float:
    # Not `now()`, which stands still within a transaction: one that waited for a lock would write the past.
    return float(connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one())
