"""The database itself: one opener, durable settings, transactions that are whole or not at all."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import event

from coordinator_bench import SMALL, Bench, database_of, lay_tables
from mstar.errors import Conflict, InvalidInput, StorageFull, Unavailable
from mstar.steps import Queue
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.store.database import open_store
from mstar_coordinator.store.records import StepState, stage_of
from postgres_server import PostgresServer


def test_a_second_coordinator_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    bench, url = Bench(tmp_path), database_of(tmp_path)
    with pytest.raises(Conflict, match="another coordinator"):
        open_store(url)
    bench.store.close()
    open_store(url).close()


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_is_no_lasting_database_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="database_url"):
        open_store(url)


def test_a_home_may_be_called_anything(tmp_path: Path) -> None:
    home = tmp_path / "rüns 1?a=%41#x"
    made = home / ".mstar" / "mstar.sqlite"
    lay_tables(home)
    open_store(CoordinatorSettings(broker_url="redis://unused", home=home).store_url()).close()
    assert made.with_name("mstar.sqlite.lock").is_file()
    assert list(tmp_path.iterdir()) == [home]


def test_sqlite_writes_ahead(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    other = sqlite3.connect(tmp_path / ".mstar" / "mstar.sqlite")
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()
    bench.store.close()


def test_the_first_due_steps_are_found_without_sorting_all(tmp_path: Path) -> None:
    bench, asked = Bench(tmp_path), []
    with bench.store.reading() as tx:
        connection = tx.steps._connection
        event.listen(
            connection, "before_cursor_execute", lambda _c, _u, query, values, *_: asked.append((query, values))
        )
        tx.steps.due(Queue.ROLLOUT, 64)
        ((query, values),) = asked
        plan = " ".join(row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values))
    assert "steps_due" in plan and "ORDER BY" not in plan
    bench.store.close()


def test_a_transaction_that_fails_leaves_nothing(bench: Bench) -> None:
    run_id = bench.lifecycle.create(SMALL)
    with pytest.raises(ZeroDivisionError), bench.store.writing() as tx:
        tx.events.append(run_id, 0.0, "run.paused")
        _ = 1 / 0
    assert bench.events(run_id) == ["run.created"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(StorageFull, match="free some disk"), bench.store.writing() as tx:
        # The database as full as it can get, as SQLite sees it.
        tx.runs._connection.exec_driver_sql("PRAGMA max_page_count = 1")
        for number in range(200):
            tx.runs.take_key(f"key {number}", "0" * 64, "r-1", 0.0)
    with bench.store.reading() as tx:
        assert tx.runs.find_key("key 0", "0" * 64) is None
    bench.store.close()


def test_events_of_many_writers_have_no_gaps(bench: Bench) -> None:
    run_id = bench.lifecycle.create(SMALL)

    def append(number: int) -> None:
        with bench.store.writing() as tx:
            tx.runs.lock(run_id)
            tx.events.append(run_id, float(number), "step.committed")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(40)))
    with bench.store.reading() as tx:
        assert [event.id for event in tx.events.after(run_id, 0, 100)] == list(range(1, 42))


def test_readers_do_not_wait_for_a_writer(bench: Bench) -> None:
    run_id = bench.lifecycle.create(SMALL)
    with bench.store.writing() as tx:
        tx.runs.touch(run_id, 1.0, shown=True)
        assert bench.run(run_id).updated_at != 1.0
    assert bench.run(run_id).updated_at == 1.0


def test_more_steps_than_a_statement_takes_are_reopened_at_once(bench: Bench) -> None:
    run_id = bench.lifecycle.create(SMALL)
    prepare = bench.step_id(run_id, "prepare")
    bench.lifecycle.claim(prepare, "w")
    # SQLite takes 32,766 parameters, PostgreSQL 65,535.
    with bench.store.writing() as tx:
        tx.steps.reopen([*(f"{run_id}-x{number}" for number in range(70_000)), prepare])
    assert bench.steps(run_id)["prepare"].state is StepState.PENDING


def test_a_store_of_an_earlier_process_is_read_as_it_was(home: Path) -> None:
    first = Bench(home)
    run_id = first.lifecycle.create(SMALL)
    steps = first.steps(run_id)
    first.store.close()
    second = Bench(home)
    assert second.steps(run_id) == steps
    second.store.close()


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("prepare", "prepare"),
        ("it01/train", "it01/train"),
        ("it02/select/0007", "it02/select"),
        ("publish/04", "publish"),
    ],
)
def test_a_stage_is_a_name_without_its_shard(name: str, stage: str) -> None:
    assert stage_of(name) == stage


def test_a_database_without_an_encoding_keeps_texts(postgres: PostgresServer) -> None:
    with postgres.database("SQL_ASCII") as url:
        store = open_store(url)
        with store.reading() as tx:
            assert tx.steps._connection.exec_driver_sql("SELECT 'ä 模'").scalar_one() == "ä 模"
        store.close()


def test_one_of_several_coordinators_holds_a_baton(postgres: PostgresServer) -> None:
    with postgres.filled_database(lambda url: open_store(url).close()) as url:
        first, second = open_store(url), open_store(url)
        one, other, another = first.baton(7), second.baton(7), second.baton(8)
        assert one.held() and not other.held() and another.held()
        another.close()
        assert one.held(), "it stays with who has it"
        postgres.stop()
        for baton in (one, other):
            with pytest.raises(Unavailable):
                baton.held()
        postgres.start()
        # The lock was the connection's: whoever asks first has it now.
        assert other.held() and not one.held()
        other.close()
        # The server ends the session a moment after its connection.
        deadline = time.monotonic() + 20
        while not one.held():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        one.close()
        first.close()
        second.close()


def test_a_file_is_one_coordinators_and_so_is_every_baton(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'mstar.sqlite'}")
    assert store.baton(7).held() and store.baton(7).held()
    store.close()
