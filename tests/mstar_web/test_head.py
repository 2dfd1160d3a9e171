"""HEAD is answered as GET is, without the body."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from mstar_web.app import base_app
from web_bench import BenchSettings, ask


@pytest.fixture
def app() -> FastAPI:
    return base_app("bench", "1", BenchSettings(), not_ready=lambda: None)


def test_the_headers_are_those_of_the_whole_answer(app: FastAPI) -> None:
    whole, head = (ask(app, method, "/livez") for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (200, b"")
    mine = {"x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in mine} == {
        k: v for k, v in whole.headers.items() if k not in mine
    }
    assert int(head.headers["content-length"]) == len(whole.content) > 0


def test_a_stream_without_an_end_is_left_at_once(app: FastAPI) -> None:
    left: list[bool] = []

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def endless() -> AsyncIterator[str]:
            try:
                while True:
                    yield "data: 1\n\n"
                    await asyncio.sleep(0)
            finally:
                left.append(True)

        return StreamingResponse(endless(), media_type="text/event-stream")

    answer = ask(app, "HEAD", "/events")
    assert (answer.status_code, answer.content, left) == (200, b"", [True])
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_where_nothing_can_be_read_head_is_no_method_either(app: FastAPI) -> None:
    @app.post("/orders")
    async def place() -> None: ...

    refused = ask(app, "HEAD", "/orders")
    assert (refused.status_code, refused.content, refused.headers["allow"]) == (405, b"", "POST")
    assert ask(app, "DELETE", "/livez").headers["allow"] == "GET, HEAD"
