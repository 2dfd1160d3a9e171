"""A runner that is stopped leaves no file open, wherever it is."""

import asyncio
import json
import threading
import time
from io import BytesIO
from pathlib import Path

import httpx2

from coordinator_bench import Bench
from mstar.api.batches import BatchCreate
from mstar.api.keys import Principal
from mstar_coordinator.batches.jobs import BatchJobs
from mstar_coordinator.batches.progress import BatchProgress
from mstar_coordinator.batches.runner import BatchRunner
from mstar_coordinator.batches.shelf import FileShelf
from mstar_coordinator.store.batches import BatchRecord

CALLER = Principal(name="tester", roles=frozenset())
LINE = {"custom_id": "a", "method": "POST", "url": "/v1/score", "body": {"question": "Why?"}}


class SlowDisk(BatchJobs):
    """Opens a batch's files when it is let."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        super().__init__(bench.store, FileShelf(folder / "files", bench.store), folder / "batches")
        self.asked, self.let = threading.Event(), threading.Event()
        self.opened: list[BatchProgress] = []

    def progress(self, batch: BatchRecord) -> BatchProgress:
        self.asked.set()
        assert self.let.wait(30)
        self.opened.append(super().progress(batch))
        return self.opened[-1]


async def _never(path: str, body: bytes) -> httpx2.Response:
    raise AssertionError("no request is sent")


def test_files_that_open_while_it_is_stopped_are_closed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    jobs = SlowDisk(bench, tmp_path)
    file = jobs.shelf.upload(BytesIO(json.dumps(LINE).encode()), "lines.jsonl", CALLER)
    jobs.create(BatchCreate(input_file_id=file.id, endpoint="/v1/score"), CALLER)

    async def stopped() -> bool:
        work = asyncio.create_task(BatchRunner(jobs, _never, lambda: False, time.monotonic).run())
        assert await asyncio.to_thread(jobs.asked.wait, 30)
        work.cancel()
        await asyncio.sleep(0.05)
        jobs.let.set()
        await asyncio.wait([work])
        return work.cancelled()

    assert asyncio.run(stopped())
    (progress,) = jobs.opened
    assert progress._source.closed and all(sink.closed for sink in progress._sinks.values())
    bench.store.close()
