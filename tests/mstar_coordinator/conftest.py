"""Fixtures of the coordinator's tests: a home on SQLite or on a real PostgreSQL, and a Kubernetes API server."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster_bench import ApiServer
from coordinator_bench import Bench, lay_tables, use_database
from mstar_coordinator.store.database import open_store
from postgres_server import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


def _make_tables(url: str) -> None:
    open_store(url).close()


@pytest.fixture(params=["sqlite", "postgresql"])
def home(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A home on either database, which has its tables and no rows."""
    if request.param == "sqlite":
        lay_tables(tmp_path)
        yield tmp_path
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.filled_database(_make_tables) as url:
        use_database(tmp_path, url)
        yield tmp_path


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_home(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A home on either database, which has no tables yet."""
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


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    """A Kubernetes API server for each test."""
    with ApiServer(tmp_path) as server:
        yield server
