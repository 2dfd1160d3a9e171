"""Rows of files and batches, on SQLite and PostgreSQL."""

from dataclasses import replace

import pytest

from coordinator_bench import Bench
from mstar.api.batches import BatchState
from mstar.errors import NotFound
from mstar_coordinator.store.batches import BatchRecord, FileRecord

FILE = FileRecord("f-1", "blue", "mine.jsonl", "batch", 2**33, "a" * 64, 5.5)
BATCH = BatchRecord(
    id="b-1",
    project="blue",
    state=BatchState.IN_PROGRESS,
    endpoint="/v1/score",
    input_file_id="f-1",
    output_file_id=None,
    error_file_id=None,
    completion_window="24h",
    metadata={"for": "me"},
    error=None,
    total=3,
    completed=0,
    failed=0,
    created_at=6.5,
    worked_at=6.5,
    expires_at=100.0,
)


def test_what_is_written_is_read_again_and_only_by_its_project(bench: Bench) -> None:
    with bench.store.writing() as tx:
        tx.batches.add_file(FILE)
        tx.batches.add_file(replace(FILE, id="f-2", purpose="batch_output", bytes=7))
        tx.batches.add_file(replace(FILE, id="f-3", project="red"))
        tx.batches.add(BATCH)
        tx.batches.add(replace(BATCH, id="b-2", project="red", metadata=None, worked_at=6.0))
    with bench.store.reading() as tx:
        assert tx.batches.file("f-1", "blue") == FILE and tx.batches.get("b-1") == BATCH
        with pytest.raises(NotFound):
            tx.batches.file("f-1", "red")
        assert tx.batches.stored_bytes("blue") == 2**33 + 7 and tx.batches.stored_bytes("green") == 0
        assert [one.id for one in tx.batches.file_page("blue", None, None, 9)] == ["f-2", "f-1"]
        assert [one.id for one in tx.batches.file_page(None, "batch", "f-3", 9)] == ["f-1"]
        assert [one.id for one in tx.batches.page("blue", None, 9)] == ["b-1"]
        assert [one.id for one in tx.batches.page(None, "b-2", 9)] == ["b-1"]
        # Who has waited longest is next.
        assert [one.id for one in tx.batches.open()] == ["b-2", "b-1"]
        assert (tx.batches.newest(), tx.batches.newest_file()) == ("b-2", "f-3")


def test_what_has_ended_is_not_open_and_lets_its_file_go(bench: Bench) -> None:
    with bench.store.writing() as tx:
        tx.batches.add_file(FILE)
        tx.batches.add(BATCH)
        tx.batches.set("b-1", state=BatchState.CANCELLING.value)
        assert tx.batches.is_read("f-1") and [one.id for one in tx.batches.open("blue")] == ["b-1"]
        tx.batches.set("b-1", state=BatchState.CANCELLED.value, ended_at=9.0, output_file_id="f-9")
        assert not tx.batches.is_read("f-1") and tx.batches.open() == []
        assert tx.batches.get("b-1", lock=True).output_file_id == "f-9"
        tx.batches.remove_file("f-1")
    with bench.store.reading() as tx, pytest.raises(NotFound):
        tx.batches.file("f-1")


def test_turns_go_round_after_a_clock_was_put_back(bench: Bench) -> None:
    with bench.store.writing() as tx:
        tx.batches.add_file(FILE)
        for name, worked_at in (("b-1", 8000.0), ("b-2", 8001.0)):
            tx.batches.add(replace(BATCH, id=name, worked_at=worked_at))
        turns = []
        for now in (800.0, 800.0, 801.0, 802.0):
            turns.append(tx.batches.open()[0].id)
            tx.batches.set_worked(turns[-1], now, completed=1)
    assert turns == ["b-1", "b-2", "b-1", "b-2"]
