"""The lock between requests and loads, and phases that take too long."""

import asyncio

import pytest

from mstar.errors import Unavailable
from mstar_models.drain_lock import DrainLock, within


def test_a_load_waits_for_running_requests_and_keeps_later_ones_out() -> None:
    async def scene() -> list[str]:
        lock, seen, leave = DrainLock(30), [], asyncio.Event()

        async def request(name: str) -> None:
            async with lock.using():
                seen.append(f"{name} in")
                await leave.wait()
                seen.append(f"{name} out")

        async def load() -> None:
            async with lock.drained():
                seen.append("load")

        first = asyncio.ensure_future(request("first"))
        await asyncio.sleep(0)
        loading = asyncio.ensure_future(load())
        await asyncio.sleep(0)
        second = asyncio.ensure_future(request("second"))
        await asyncio.sleep(0.01)
        leave.set()
        await asyncio.gather(first, loading, second)
        return seen

    assert asyncio.run(scene()) == ["first in", "first out", "load", "second in", "second out"]


def test_a_load_that_waits_too_long_gives_up_and_lets_requests_in() -> None:
    async def scene() -> None:
        lock = DrainLock(0.05)
        async with lock.using():
            with pytest.raises(Unavailable, match="waiting for running requests took more than"):
                async with lock.drained():
                    pytest.fail("a request was still running")
        async with lock.using():
            """Requests may begin again."""
        async with lock.drained():
            """And a load may, now that none is running."""

    asyncio.run(scene())


def test_patience_names_the_phase_that_took_too_long() -> None:
    assert asyncio.run(within(asyncio.sleep(0, "done"), 5, "a phase")) == "done"
    with pytest.raises(Unavailable, match=r"waking took more than 0 s") as found:
        asyncio.run(within(asyncio.sleep(60), 0.01, "waking"))
    assert found.value.retry_after
