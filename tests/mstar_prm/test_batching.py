"""The queue before the worker thread: what meets in a batch, who is dropped, what a full or closed queue says."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

import pytest

from mstar.errors import Internal, TooManyRequests, Unavailable
from mstar_prm.batching import Batcher


class Work:
    """Doubles numbers, remembers the batches, and starts none before it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = threading.Event()
        self.may_go_on = threading.Event()

    def __call__(self, jobs: Sequence[int]) -> Iterator[tuple[int, int | Exception]]:
        self.batches.append(list(jobs))
        self.begun.set()
        assert self.may_go_on.wait(30)
        for place, job in enumerate(jobs):
            yield place, Internal("thirteen") if job == 13 else 2 * job


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    yield work
    work.may_go_on.set()


def held(work: Work, conversation: Callable[[Batcher[int, int]], Awaitable[None]], waiting_size: int = 100) -> None:
    """Run a conversation while the job 0 is being worked on, so that all further ones wait."""

    async def run() -> None:
        batcher: Batcher[int, int] = Batcher(work, batch_size=10, waiting_size=waiting_size)
        try:
            first = asyncio.ensure_future(batcher.submit(0, 1))
            assert await asyncio.to_thread(work.begun.wait, 30)
            await conversation(batcher)
            assert await first == 0
        finally:
            work.may_go_on.set()
            await asyncio.to_thread(batcher.close)

    asyncio.run(run())


def submit(batcher: Batcher[int, int], *jobs: tuple[int, int]) -> list["asyncio.Task[int]"]:
    return [asyncio.create_task(batcher.submit(job, size)) for job, size in jobs]


def test_what_waits_shares_batches_in_order_of_arrival(work: Work) -> None:
    async def conversation(batcher: Batcher[int, int]) -> None:
        waiting = submit(batcher, (1, 4), (2, 4), (3, 4), (4, 1))
        await asyncio.sleep(0)
        work.may_go_on.set()
        assert await asyncio.gather(*waiting) == [2, 4, 6, 8]

    held(work, conversation)
    assert work.batches == [[0], [1, 2], [3, 4]]


def test_a_job_beyond_the_batch_size_runs_alone(work: Work) -> None:
    async def conversation(batcher: Batcher[int, int]) -> None:
        waiting = submit(batcher, (1, 50), (2, 1))
        await asyncio.sleep(0)
        work.may_go_on.set()
        assert await asyncio.gather(*waiting) == [2, 4]

    held(work, conversation)
    assert work.batches == [[0], [1], [2]]


def test_a_caller_who_left_is_dropped_before_its_turn(work: Work) -> None:
    async def conversation(batcher: Batcher[int, int]) -> None:
        left, stays = submit(batcher, (1, 4), (2, 4))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0)
        work.may_go_on.set()
        assert await stays == 4

    held(work, conversation)
    assert work.batches == [[0], [2]]


def test_a_caller_who_left_makes_room_for_others_at_once(work: Work) -> None:
    async def conversation(batcher: Batcher[int, int]) -> None:
        stays, left, late = submit(batcher, (1, 4), (2, 15), (3, 1))
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests):
            await batcher.submit(4, 15)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        fits = submit(batcher, (4, 15))
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests):
            await batcher.submit(5, 1)
        work.may_go_on.set()
        assert await asyncio.gather(stays, late, *fits) == [2, 6, 8]
        assert await batcher.submit(6, 20) == 12

    held(work, conversation, waiting_size=20)
    assert work.batches == [[0], [1, 3], [4], [6]]


def test_draining_waits_for_a_batch_whose_caller_left(work: Work) -> None:
    async def run() -> None:
        batcher: Batcher[int, int] = Batcher(work, batch_size=10, waiting_size=100)
        try:
            running, waiting = submit(batcher, (1, 10), (2, 1))
            assert await asyncio.to_thread(work.begun.wait, 30)
            running.cancel()
            waiting.cancel()
            await asyncio.gather(running, waiting, return_exceptions=True)
            draining = asyncio.create_task(asyncio.to_thread(batcher.drain))
            for _ in range(5):
                await asyncio.sleep(0.001)
            assert not draining.done()
            work.may_go_on.set()
            await asyncio.wait_for(draining, 30)
        finally:
            work.may_go_on.set()
            await asyncio.to_thread(batcher.close)
        await asyncio.to_thread(batcher.drain)

    asyncio.run(run())
    assert work.batches == [[1]]


def test_a_full_queue_refuses_until_it_has_room_again(work: Work) -> None:
    async def conversation(batcher: Batcher[int, int]) -> None:
        waiting = submit(batcher, (1, 15))
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests) as refused:
            await batcher.submit(2, 6)
        assert refused.value.retry_after is not None
        fits = submit(batcher, (3, 5))
        await asyncio.sleep(0)
        work.may_go_on.set()
        assert await asyncio.gather(*waiting, *fits) == [2, 6]
        assert await batcher.submit(4, 20) == 8

    held(work, conversation, waiting_size=20)


def test_one_bad_job_fails_alone(work: Work) -> None:
    async def conversation(batcher: Batcher[int, int]) -> None:
        waiting = submit(batcher, (13, 1), (5, 1))
        await asyncio.sleep(0)
        work.may_go_on.set()
        bad, good = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(bad, Internal) and good == 10

    held(work, conversation)


def test_work_that_raises_fails_its_batch_and_no_later_one() -> None:
    def picky(jobs: Sequence[int]) -> Iterable[tuple[int, int]]:
        if 0 in jobs:
            raise ValueError("no zero")
        return enumerate(jobs)

    async def run() -> None:
        batcher: Batcher[int, int] = Batcher(picky, batch_size=10, waiting_size=100)
        with pytest.raises(ValueError, match="no zero"):
            await batcher.submit(0, 1)
        assert await batcher.submit(7, 1) == 7
        await asyncio.to_thread(batcher.close)

    asyncio.run(run())


def test_a_job_is_answered_as_soon_as_its_result_is_there() -> None:
    others = threading.Event()

    def in_parts(jobs: Sequence[int]) -> Iterator[tuple[int, int]]:
        yield len(jobs) - 1, jobs[-1]
        assert others.wait(30)
        yield from enumerate(jobs[:-1])

    async def run() -> None:
        batcher: Batcher[int, int] = Batcher(in_parts, batch_size=10, waiting_size=100)
        try:
            # One thread takes both together: they are there before it can look.
            with batcher._changed:
                slow, quick = submit(batcher, (1, 1), (2, 1))
                await asyncio.sleep(0)
            assert await quick == 2
            assert not slow.done()
            others.set()
            assert await slow == 1
        finally:
            others.set()
            await asyncio.to_thread(batcher.close)

    asyncio.run(run())


@pytest.mark.parametrize("done", [0, 1])
def test_work_that_ends_early_fails_those_that_it_left_out(done: int) -> None:
    def lazy(jobs: Sequence[int]) -> Iterator[tuple[int, int]]:
        yield from list(enumerate(jobs))[:done]

    async def run() -> list[int | BaseException]:
        batcher: Batcher[int, int] = Batcher(lazy, batch_size=10, waiting_size=100)
        try:
            with batcher._changed:
                waiting = submit(batcher, (1, 1), (2, 1))
                await asyncio.sleep(0)
            return await asyncio.gather(*waiting, return_exceptions=True)
        finally:
            await asyncio.to_thread(batcher.close)

    found = asyncio.run(run())
    assert [isinstance(one, RuntimeError) for one in found] == [place >= done for place in range(2)]


def test_closing_ends_the_running_batch_and_turns_away_the_rest(work: Work) -> None:
    async def conversation(batcher: Batcher[int, int]) -> None:
        waiting = submit(batcher, (1, 1))
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        while not batcher._closed:
            await asyncio.sleep(0.001)
        work.may_go_on.set()
        await closing
        with pytest.raises(Unavailable):
            await waiting[0]
        with pytest.raises(Unavailable):
            await asyncio.wait_for(batcher.submit(2, 1), timeout=5)

    held(work, conversation)
    assert work.batches == [[0]]
