"""Batches in the database and on the disk, without a PRM."""

import json
import os
from io import BytesIO
from pathlib import Path

from coordinator_bench import Bench
from mstar.api.batches import BatchCreate, BatchState
from mstar.api.keys import Principal
from mstar_coordinator.batches.jobs import BatchJobs
from mstar_coordinator.batches.shelf import FileShelf

CALLER = Principal(name="tester", roles=frozenset())
LINE = {"custom_id": "a", "method": "POST", "url": "/v1/score", "body": {"question": "Why?"}}


def test_a_batch_that_fails_keeps_its_answers_as_a_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    jobs = BatchJobs(bench.store, FileShelf(tmp_path / "files", bench.store), tmp_path / "batches")
    file = jobs.shelf.upload(BytesIO(json.dumps(LINE).encode()), "lines.jsonl", CALLER)
    jobs.create(BatchCreate(input_file_id=file.id, endpoint="/v1/score"), CALLER)
    ((batch,), _) = jobs.open()
    with jobs.progress(batch) as progress:
        progress.next()
        progress.write({"id": "a"}, good=True)
    left = {path.name for path in (tmp_path / "batches").iterdir() if path.stat().st_size}
    assert left == {f"{batch.id}.output", f"{batch.id}.place"}
    jobs.fail(batch, "the content of the input file is gone")
    assert list((tmp_path / "batches").iterdir()) == []
    with bench.store.reading() as tx:
        failed = tx.batches.get(batch.id)
    assert (failed.state, failed.completed, failed.failed) == (BatchState.FAILED, 1, 0)
    assert failed.output_file_id is not None and failed.error_file_id is None
    assert jobs.shelf.path(failed.output_file_id).read_bytes() == b'{"id": "a"}\n'
    bench.store.close()


def test_a_coordinator_that_starts_leaves_alone_what_another_one_writes(bench: Bench) -> None:
    """On PostgreSQL another one may take an upload; a SQLite file has one coordinator, which has just started."""
    shelf = FileShelf(bench.home / "files", bench.store)
    jobs = BatchJobs(bench.store, shelf, bench.home / "batches")
    staged = shelf.stage(BytesIO(b"{}"))
    growing = bench.home / "batches" / "b-begun.output"
    growing.parent.mkdir()
    growing.touch()
    shelf.sweep()
    jobs.sweep()
    assert staged.path.exists() == growing.exists() == (not bench.store.alone)
    for left in (staged.path, growing):
        left.touch()
        os.utime(left, (0, 0))
    shelf.sweep()
    jobs.sweep()
    assert not staged.path.exists() and not growing.exists()


def test_answers_of_a_batch_that_has_ended_are_removed_and_those_that_grow_stay(tmp_path: Path) -> None:
    """A crash between the commit and the removal leaves them."""
    bench = Bench(tmp_path)
    jobs = BatchJobs(bench.store, FileShelf(tmp_path / "files", bench.store), tmp_path / "batches")
    jobs.sweep()
    file = jobs.shelf.upload(BytesIO(json.dumps(LINE).encode()), "lines.jsonl", CALLER)
    open_id = jobs.create(BatchCreate(input_file_id=file.id, endpoint="/v1/score"), CALLER)
    for name in (f"{open_id}.output", "b-ended.output", "b-ended.place", ".tmp-b-ended.place-1"):
        (tmp_path / "batches").mkdir(exist_ok=True)
        (tmp_path / "batches" / name).touch()
    jobs.sweep()
    assert [path.name for path in (tmp_path / "batches").iterdir()] == [f"{open_id}.output"]
    bench.store.close()


def test_what_has_no_row_is_removed_and_all_else_stays(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    shelf = FileShelf(tmp_path / "files", bench.store)
    kept = shelf.upload(BytesIO(b"{}"), "lines.jsonl", CALLER)
    (tmp_path / "files" / "new-left").write_bytes(b"half")
    shelf.sweep()
    assert [path.name for path in (tmp_path / "files").iterdir()] == [kept.id]
    bench.store.close()
