"""Tests of giving up work whose caller has gone."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message

from mstar_web.limits import ClientGone, until_gone


def request_that(disconnects: bool) -> Request:
    async def receive() -> Message:
        if not disconnects:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


def test_work_is_cancelled_when_the_caller_goes() -> None:
    async def scene() -> bool:
        started, cancelled = asyncio.Event(), False

        async def work() -> None:
            nonlocal cancelled
            started.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled = True
                raise

        with pytest.raises(ClientGone):
            await until_gone(request_that(disconnects=True), work())
        return started.is_set() and cancelled

    assert asyncio.run(scene())


def test_results_and_errors_pass_through() -> None:
    async def good() -> int:
        return 7

    async def bad() -> int:
        raise KeyError("x")

    async def scene() -> None:
        assert await until_gone(request_that(disconnects=False), good()) == 7
        with pytest.raises(KeyError):
            await until_gone(request_that(disconnects=False), bad())

    asyncio.run(scene())
