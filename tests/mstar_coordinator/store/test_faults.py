"""What a database that fails is to the callers of the store: one error of ours, and one line in the log."""

import sqlite3
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from coordinator_bench import SMALL, Bench, use_database
from mstar.errors import InvalidInput, Unavailable
from mstar.evolution import RunState
from mstar_coordinator.store.faults import Outage, translate_errors
from postgres_server import PostgresServer


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A PostgreSQL that this file may stop."""
    with PostgresServer() as server:
        yield server


def test_while_postgresql_is_away_every_request_is_unavailable_and_the_log_has_one_line(
    own_server: PostgresServer, tmp_path: Path
) -> None:
    with own_server.database() as url:
        use_database(tmp_path, url)
        bench = Bench(tmp_path)
        run_id = bench.lifecycle.create(SMALL)
        own_server.stop()
        with capture_logs() as logs:
            for _ in range(5):
                with pytest.raises(Unavailable, match="the database") as refused:
                    bench.run(run_id)
                assert refused.value.retry_after and refused.value.logged
                with pytest.raises(Unavailable):
                    bench.lifecycle.pause(run_id)
            own_server.start()
            bench.lifecycle.pause(run_id)
        assert [one["event"] for one in logs] == ["the database is unavailable", "the database is available again"]
        assert bench.run(run_id).state is RunState.PAUSED
        bench.store.close()


def test_a_connection_that_breaks_within_a_transaction_is_unavailable(
    own_server: PostgresServer, tmp_path: Path
) -> None:
    with own_server.database() as url:
        use_database(tmp_path, url)
        bench = Bench(tmp_path)
        run_id = bench.lifecycle.create(SMALL)
        with pytest.raises(Unavailable), bench.store.writing() as tx:
            tx.runs.touch(run_id, 1.0, shown=True)
            own_server.stop()
            own_server.start()
            tx.runs.touch(run_id, 2.0, shown=True)
        assert bench.run(run_id).revision == 1
        bench.store.close()


@pytest.mark.parametrize("state", ["40001", "40P01", "53300", "55P03", "57P01", "25006"])
def test_what_passes_by_itself_is_unavailable(bench: Bench, state: str) -> None:
    with bench.store.reading() as tx:
        dialect = tx.runs._connection.dialect.name
    if dialect == "sqlite":
        pytest.skip("states of PostgreSQL")
    raised = f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"
    with pytest.raises(Unavailable), bench.store.writing() as tx:
        tx.runs._connection.exec_driver_sql(raised)


def test_a_read_only_file_is_unavailable(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(Unavailable, match="read-only"), bench.store.writing() as tx:
        tx.runs._connection.exec_driver_sql("PRAGMA query_only = ON")
        tx.runs.take_key("k", "0" * 64, "r-1", 0.0)
    bench.store.close()


def test_text_that_is_no_unicode_is_refused(bench: Bench) -> None:
    with pytest.raises(InvalidInput, match="valid Unicode"), bench.store.reading() as tx:
        tx.runs.page(None, "\ud800", 1)


def test_text_with_nul_is_refused_where_the_database_cannot_hold_it(bench: Bench) -> None:
    postgresql = (bench.home / "other-database").exists()
    expected = pytest.raises(InvalidInput, match="NUL") if postgresql else nullcontext()
    with expected, bench.store.reading() as tx:
        assert tx.runs.page(None, "r-\x00", 1) == []


def test_a_number_that_no_column_holds_is_refused(bench: Bench) -> None:
    run_id = bench.lifecycle.create(SMALL)
    with pytest.raises(InvalidInput), bench.store.writing() as tx:
        tx.runs.set_iterations(run_id, 2**63)


def test_an_outage_is_logged_when_it_begins_and_when_it_ends() -> None:
    outage = Outage()
    with capture_logs() as logs:
        for reason in (None, "away", "away", None, None, "busy"):
            outage.note(reason)
    assert len(logs) == 3


@pytest.mark.parametrize("code", [sqlite3.SQLITE_READONLY_DBMOVED, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_CANTOPEN])
def test_where_sqlite_cannot_write_it_is_said_what_to_look_at(code: int) -> None:
    """A file system that an error has made read-only is an I/O error to SQLite, and "try again" alone helps nobody."""
    failure = sqlite3.OperationalError("disk I/O error")
    failure.sqlite_errorcode = code
    with pytest.raises(Unavailable, match=r"writ.*\?\): try again"), translate_errors(Outage()):
        raise OperationalError("UPDATE runs", None, failure)
