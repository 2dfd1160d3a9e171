"""JSON bodies: strict, bounded before they are parsed, read outside of the event loop; the API's pages and document."""

import asyncio
import contextlib
import re
import threading
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from mstar.errors import InvalidInput, TooLarge
from mstar.types import Frozen
from mstar_web.app import base_app
from mstar_web.bodies import BodyBound, read_body
from web_bench import BenchSettings, ask, talk


class Order(Frozen):
    count: int = 1
    price: float = 1.0
    note: str = ""
    more: dict[str, Any] = {}


def shop() -> FastAPI:
    app = base_app("bench", "1", BenchSettings(), not_ready=lambda: None)

    @app.post("/orders")
    async def place(order: Order) -> int:
        return order.count

    return app


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"count": "4"}', "count"),
        (b'{"count": true}', "count"),
        (b'{"price": "1.0"}', "price"),
        (b'{"note": 4}', "note"),
        (b'{"count": 1, "count": 2}', "body"),
        (b'{"more": {"a": {"b": 1, "b": 1}}}', "body"),
        (b'{"price": NaN}', "body"),
        (b'{"price": -Infinity}', "body"),
        (b'{"price": 1e999}', "price"),
        (b'{"more": {"a": [0, -1e999]}}', "more.a.1"),
        (b'{"count": 99999999999999999999}', "count"),
        (b'{"count": ' + b"9" * 5000 + b"}", "body"),
        (b'{"note": "a\\u0000b"}', "note"),
        (b'{"more": {"\\u0000": 1}}', "body"),
        (b'{"note": "\\ud800"}', "body"),
        (b'{"note": "\\udc00\\ud800"}', "body"),
        (b'{"note": "\xed\xa0\x80"}', "body"),
        (b'{"note": "\xff"}', "body"),
        (b'{"more": ' + b'{"a": ' * 60 + b"1" + b"}" * 61, None),
        (b"\xef\xbb\xbf{}", "body"),
        (b"{} {}", "body"),
    ],
)
def test_what_is_no_strict_json_is_refused_with_its_field(body: bytes, field: str | None) -> None:
    refused = ask(shop(), "POST", "/orders", content=body)
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
    if field is not None:
        assert refused.json()["field"] == field


def test_an_unknown_field_of_megabytes_is_not_sent_back() -> None:
    for body in ({"x" * 3_000_000: 1}, {"count": "x" * 3_000_000}, {"more": {"x" * 3_000_000: {"y": 2**70}}}):
        refused = ask(shop(), "POST", "/orders", json=body)
        assert refused.status_code == 422
        assert len(refused.content) < 3000


def test_a_body_is_validated_outside_of_the_event_loop() -> None:
    threads = []

    class Noting(Frozen):
        count: int

        def model_post_init(self, context: Any) -> None:
            threads.append(threading.current_thread())

    app = base_app("bench", "1", BenchSettings(), not_ready=lambda: None)

    @app.post("/orders")
    async def place(order: Noting) -> int:
        return order.count

    assert ask(app, "POST", "/orders", json={"count": 3}).json() == 3
    assert threads and threading.main_thread() not in threads


def test_values_are_counted_before_they_are_parsed() -> None:
    bound = BodyBound(values=100)
    parsed = read_body(TypeAdapter(list[int]), b"[" + b",".join([b"1"] * 98) + b"]", bound)
    assert len(parsed) == 98
    for body in (b"[" + b",".join([b"1"] * 200) + b"]", b"[]" * 200, b"{}" * 200):
        with pytest.raises(TooLarge, match="more than 100 values"):
            read_body(TypeAdapter(list[int]), body, bound)


class Message(Frozen):
    content: str | list[Order]


@pytest.mark.parametrize(
    ("content", "field", "said"),
    [
        (b'[{"count": 1}, {"count": "4"}]', "content.1.count", "Input should be a valid integer"),
        (b'[{"nothing": 1}]', "content.0.nothing", "Extra inputs are not permitted"),
        (b"5", "content", "Input should be a valid string, or: Input should be a valid array"),
    ],
)
def test_of_a_value_of_several_shapes_the_one_that_was_meant_is_named(content: bytes, field: str, said: str) -> None:
    with pytest.raises(RequestValidationError) as refused:
        read_body(TypeAdapter(Message), b'{"content": %s}' % content, BodyBound())
    (error,) = refused.value.errors()
    assert (".".join(map(str, error["loc"])), error["msg"]) == (f"body.{field}", said)


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_a_value_or_a_refusal(body: bytes) -> None:
    with contextlib.suppress(InvalidInput, TooLarge, RequestValidationError):
        assert isinstance(read_body(TypeAdapter(dict[str, Any]), body, BodyBound()), dict)


def test_bodies_of_one_caller_are_bounded_together_before_they_are_read() -> None:
    """A first body is announced and does not come; beside it a second large one is refused unread."""

    async def conversation(client: httpx2.AsyncClient) -> tuple[int, int, int]:
        hold = asyncio.Event()

        async def slow() -> Any:
            yield b"{"
            await hold.wait()
            yield b"}"

        size = {"content-length": str(100 * 2**20)}
        first = asyncio.ensure_future(client.post("/orders", content=slow(), headers=size))
        await asyncio.sleep(0.05)
        second = await client.post("/orders", content=b"{}", headers=size)
        small = await client.post("/orders", content=b"{}")
        hold.set()
        await first
        after = await client.post("/orders", content=b"{}", headers=size)
        return second.status_code, small.status_code, after.status_code

    app = base_app(
        "bench", "1", BenchSettings(), not_ready=lambda: None, bounds={"/orders": BodyBound(bytes=100 * 2**20)}
    )

    @app.post("/orders")
    async def place(order: Order) -> int:
        return order.count

    assert talk(app, conversation) == (429, 200, 200)


def test_every_error_is_documented_as_a_problem() -> None:
    document = ask(shop(), "GET", "/openapi.json").json()
    assert "Problem" in document["components"]["schemas"]
    assert "HTTPValidationError" not in str(document)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            errors = {status: one for status, one in operation["responses"].items() if status[0] in "45"}
            assert errors, (path, method)
            for one in errors.values():
                assert list(one["content"]) == ["application/problem+json"]


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_pages_of_the_api_take_every_script_from_the_service(page: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> list[str]:
        html = (await client.get(page)).text
        sources = re.findall(r'(?:src|href)="([^"]+)"', html)
        for source in sources:
            assert source.startswith("/"), source
            assert (await client.get(source)).status_code == 200
        return sources

    sources = talk(shop(), conversation)
    assert any(source.endswith(".js") for source in sources)


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 200), (b"{}", 200), (b" ", 200), (b"[]", 422), (b'{"now": true}', 422)]
)
def test_a_change_without_a_body_takes_no_members(body: bytes, status: int) -> None:
    app = base_app("bench", "1", BenchSettings(), not_ready=lambda: None)

    @app.post("/stop")
    async def stop() -> str:
        return "stopped"

    answer = ask(app, "POST", "/stop", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
