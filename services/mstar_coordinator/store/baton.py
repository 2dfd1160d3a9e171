"""What one of several coordinators at a time may do: it holds a lock of the database for that.

A SQLite file is opened by one process alone, which has every baton. On PostgreSQL the lock is a session's: it ends with
the connection, so that nobody has to take it from a process that was killed.
"""

from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from mstar_coordinator.store.faults import Outage, translate_errors

BATCHES: Final = 0x6D7374617262
"""Key of the lock of who works batches off: "mstarb" in ASCII."""
_SILENCE = {"idle": 15, "interval": 5, "count": 5}
"""Seconds and tries after which the server gives a machine up that is gone without a word; its default is two hours."""


class Baton:
    """The lock with a key. For one thread at a time."""

    def __init__(self, engine: Engine, outage: Outage, key: int) -> None:
        self._engine, self._outage, self._key = engine, outage, key
        self._connection: Connection | None = None
        self.taken = 0
        """How often this process has taken it."""

    def held(self) -> bool:
        """Whether this process has it now; it takes one that nobody has. Raises Unavailable."""
        if self._engine.dialect.name == "sqlite":
            return True
        with translate_errors(self._outage):
            if self._connection is None:
                self._connection = self._taken()
            else:
                try:
                    self._connection.exec_driver_sql("SELECT 1")
                except DBAPIError:
                    # The lock is gone with its connection.
                    self._drop()
                    raise
        return self._connection is not None

    def close(self) -> None:
        """Let another one have it."""
        self._drop()

    def _taken(self) -> Connection | None:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            if connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({self._key})").scalar_one():
                for name, value in _SILENCE.items():
                    connection.exec_driver_sql(f"SET tcp_keepalives_{name} = {value}")
                self.taken += 1
                return connection
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        connection.close()
        return None

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # Closed for good, which ends the lock: the pool would keep the session.
            connection.invalidate()
            connection.close()
