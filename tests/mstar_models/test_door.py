"""The door between requests and loads, and patience with a phase."""

import asyncio

import pytest

from mstar.errors import Unavailable
from mstar_models.door import Door, within


def test_a_load_waits_for_those_inside_and_keeps_others_out() -> None:
    async def scene() -> list[str]:
        door, seen, leave = Door(30), [], asyncio.Event()

        async def request(name: str) -> None:
            async with door.passing():
                seen.append(f"{name} in")
                await leave.wait()
                seen.append(f"{name} out")

        async def load() -> None:
            async with door.shut():
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


def test_a_load_that_waits_too_long_gives_up_and_opens_the_door() -> None:
    async def scene() -> None:
        door = Door(0.05)
        async with door.passing():
            with pytest.raises(Unavailable, match="waiting for running requests took more than"):
                async with door.shut():
                    pytest.fail("a request was still inside")
        async with door.passing():
            """The door is open again."""
        async with door.shut():
            """And closes, now that nobody is inside."""

    asyncio.run(scene())


def test_patience_names_the_phase_that_took_too_long() -> None:
    assert asyncio.run(within(asyncio.sleep(0, "done"), 5, "a phase")) == "done"
    with pytest.raises(Unavailable, match=r"waking took more than 0 s") as found:
        asyncio.run(within(asyncio.sleep(60), 0.01, "waking"))
    assert found.value.retry_after
