"""Admission: what has no room is refused before its body, and whatever carries no body passes."""

import asyncio
from typing import Any

import pytest

from mstar.errors import TooManyRequests, Unavailable
from mstar_web.admission import Admission
from mstar_web.bodies import BodyBound


def request(path: str = "/v1/score", method: str = "POST", length: int = 10) -> dict[str, Any]:
    headers = [(b"content-length", str(length).encode())]
    return {"type": "http", "method": method, "path": path, "headers": headers, "mstar.bound": BodyBound()}


async def unread() -> Any:
    raise AssertionError("the body of a refused request is not read")


async def answered(scope: Any, receive: Any, send: Any) -> None:
    scope["answered"] = True


def no_room(path: str, caller: str) -> None:
    if path == "/v1/score":
        raise TooManyRequests(f"too much work of {caller} is waiting", retry_after=2.0)


def test_what_a_service_has_no_room_for_is_refused_before_its_body() -> None:
    admission = Admission(answered, room=no_room)
    with pytest.raises(TooManyRequests, match="is waiting"):
        asyncio.run(admission(request(), unread, unread))
    for passing in (request("/v1/weights", "PUT"), request(method="GET")):
        asyncio.run(admission(passing, unread, unread))
        assert passing["answered"]


def test_bodies_that_do_not_fit_together_wait_outside() -> None:
    inside = asyncio.Event()

    async def holding(scope: Any, receive: Any, send: Any) -> None:
        await inside.wait()

    async def scene() -> None:
        admission = Admission(holding, requests=2, requests_each=2, body_bytes=1000)
        first = asyncio.create_task(admission(request(length=400), unread, unread))
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests):
            await admission(request(length=200), unread, unread)
        second = asyncio.create_task(admission(request(length=0), unread, unread))
        await asyncio.sleep(0)
        with pytest.raises((TooManyRequests, Unavailable)):
            await admission(request(length=0), unread, unread)
        inside.set()
        await asyncio.gather(first, second)
        await admission(request(length=800), unread, unread)

    asyncio.run(scene())
