"""Turns: callers that wait are served in rotation, those who leave are dropped, and too many are refused."""

import asyncio

import pytest

from mstar.errors import TooManyRequests
from mstar_web.fair_queue import FairQueue


def test_one_request_of_another_caller_comes_after_one_of_a_hundred() -> None:
    order: list[str] = []

    async def work(turns: FairQueue, caller: str) -> None:
        async with turns.turn(caller):
            order.append(caller)
            await asyncio.sleep(0)

    async def scene() -> None:
        turns = FairQueue(1, waiting=1000, waiting_each=500)
        many = [asyncio.create_task(work(turns, "many")) for _ in range(100)]
        await asyncio.sleep(0)
        await asyncio.gather(work(turns, "one"), *many)

    asyncio.run(scene())
    assert order.index("one") <= 3
    assert len(order) == 101


def test_who_leaves_takes_no_turn_and_the_slots_stay_the_same() -> None:
    async def scene() -> None:
        turns = FairQueue(2, waiting=10, waiting_each=10)
        inside = 0

        async def work(seconds: float) -> None:
            nonlocal inside
            async with turns.turn("a"):
                inside += 1
                assert inside <= 2
                await asyncio.sleep(seconds)
                inside -= 1

        first = [asyncio.create_task(work(0.02)) for _ in range(2)]
        leaving = [asyncio.create_task(work(0)) for _ in range(5)]
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*first, *leaving, return_exceptions=True)
        await asyncio.gather(*(work(0) for _ in range(8)))

    asyncio.run(scene())


def test_too_many_of_one_caller_are_refused_and_others_are_not() -> None:
    async def scene() -> None:
        turns = FairQueue(1, waiting=3, waiting_each=2)
        async with turns.turn("a"):
            tasks = [asyncio.create_task(_hold(turns, "a")) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(TooManyRequests):
                await _hold(turns, "a")
            with pytest.raises(TooManyRequests):
                turns.require_room("a")
            turns.require_room("b")
            tasks.append(asyncio.create_task(_hold(turns, "b")))
            await asyncio.sleep(0)
            with pytest.raises(TooManyRequests):
                await _hold(turns, "c")
        await asyncio.gather(*tasks)
        turns.require_room("a")

    asyncio.run(scene())


async def _hold(turns: FairQueue, caller: str) -> None:
    async with turns.turn(caller):
        pass
