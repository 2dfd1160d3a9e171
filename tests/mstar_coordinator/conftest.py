"""Fixtures of the coordinator's tests: a home whose truth is a SQLite file, or a database of a real PostgreSQL."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from coordinator_bench import Bench, use_database
from postgres_server import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def home(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A home on either database, which is new."""
    with ExitStack() as stack:
        if request.param == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres")
            use_database(tmp_path, stack.enter_context(server.database()))
        yield tmp_path


@pytest.fixture
def bench(home: Path) -> Iterator[Bench]:
    """A bench on that home."""
    bench = Bench(home)
    yield bench
    bench.store.close()
