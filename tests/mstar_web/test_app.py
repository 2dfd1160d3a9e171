"""Tests of the app base: health, problems, request ids, limits and metrics."""

import asyncio
import errno
from collections.abc import AsyncIterator
from enum import StrEnum
from threading import Event
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request
from pydantic import BaseModel, Field

from mstar.errors import NotFound, TooManyRequests
from mstar_web import app as app_module
from mstar_web.app import base_app
from mstar_web.bodies import BodyBound
from web_bench import BenchSettings, ask, talk


class Order(BaseModel):
    count: int = Field(ge=1)
    note: str = ""


@pytest.fixture
def app() -> FastAPI:
    app = base_app("bench", "1", BenchSettings(), not_ready=lambda: None)

    @app.post("/orders")
    async def place(order: Order) -> dict[str, int]:
        return {"count": order.count}

    @app.get("/orders/{name}")
    async def find(name: str) -> None:
        raise NotFound(f"order {name} does not exist", field="name")

    @app.get("/busy")
    async def busy() -> None:
        raise TooManyRequests("try later", retry_after=1.2)

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("a detail nobody outside should see")

    @app.get("/denied")
    async def denied() -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/home/of/orders/7")

    @app.get("/full")
    async def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    return app


def problem(response: httpx2.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == response.status_code
    assert body["error"]["message"] == body["detail"]
    return body


def test_health_says_why_the_service_is_not_ready() -> None:
    reasons: list[str | None] = ["no weights are loaded"]
    app = base_app("bench", "1", BenchSettings(), not_ready=lambda: reasons[0])
    assert ask(app, "GET", "/livez").status_code == 200
    refused = ask(app, "GET", "/readyz")
    assert (refused.status_code, problem(refused)["detail"]) == (503, "no weights are loaded")
    reasons[0] = None
    assert ask(app, "GET", "/readyz").json() == {"status": "ready"}


def test_a_service_that_is_ready_says_what_else_does_not_work() -> None:
    app = base_app("bench", "1", BenchSettings(), not_ready=lambda: None, problem=lambda: "the queue is away")
    answer = ask(app, "GET", "/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "problem": "the queue is away"})


@pytest.mark.parametrize("reason", [None, "no weights are loaded"])
def test_metrics_say_whether_the_service_is_ready(reason: str | None) -> None:
    app = base_app("bench", "1", BenchSettings(), not_ready=lambda: reason)
    assert f"mstar_ready {float(reason is None)}" in ask(app, "GET", "/metrics").text


def test_expected_failures_carry_status_field_and_retry_after(app: FastAPI) -> None:
    missing = problem(ask(app, "GET", "/orders/7"))
    assert (missing["code"], missing["field"]) == ("not-found", "name")
    busy = ask(app, "GET", "/busy")
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "2")


def test_an_unexpected_error_keeps_its_trace_to_itself(app: FastAPI) -> None:
    response = ask(app, "GET", "/broken")
    assert problem(response)["code"] == "internal"
    assert "nobody outside" not in response.text


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_memory_that_is_used_up_is_named(app: FastAPI, error: Exception) -> None:
    async def starved() -> None:
        raise error

    app.add_api_route("/starved", starved)
    answer = ask(app, "GET", "/starved")
    assert answer.status_code == 503 and answer.headers["retry-after"] == "5"
    assert answer.json()["detail"].startswith("the memory of this machine or container is used up: give this service")


def test_a_full_disk_and_a_missing_permission_are_named_wherever_they_rise(app: FastAPI) -> None:
    denied = problem(ask(app, "GET", "/denied"))
    assert (denied["status"], denied["code"]) == (500, "not-writable") and "/home/of/orders" in denied["detail"]
    full = problem(ask(app, "GET", "/full"))
    assert (full["status"], full["code"]) == (507, "storage-full") and "free some disk" in full["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"count": 0}', "count"),
        (b"{}", "count"),
        (b'{"count": "many"}', "count"),
        (b"[]", "body"),
        (b"{", "body"),
        (b"\xff\xfe", "body"),
        (b"[" * 90_000, "body"),
        (b"", "body"),
    ],
)
def test_invalid_bodies_name_the_field(app: FastAPI, body: bytes, field: str) -> None:
    response = ask(app, "POST", "/orders", content=body, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)
    found = problem(response)
    if response.status_code == 422:
        assert found["field"] == field


def test_little_of_a_bad_value_is_echoed(app: FastAPI) -> None:
    response = ask(app, "POST", "/orders", json={"count": "x" * 10_000})
    assert len(response.text) < 1000


def test_unknown_routes_and_methods_are_problems(app: FastAPI) -> None:
    missed = problem(ask(app, "GET", "/nowhere"))
    assert missed["code"] == "not-found" and f"{app.title} has no route GET /nowhere" in missed["detail"]
    wrong = ask(app, "DELETE", "/livez")
    assert (problem(wrong)["code"], wrong.headers["allow"]) == ("method-not-allowed", "GET, HEAD")


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"content-encoding": "gzip"}, "Content-Encoding"),
        ({"content-encoding": "br, identity"}, "Content-Encoding"),
        ({"content-type": "application/json; charset=utf-16"}, "Content-Type"),
        ({"content-type": 'application/json; Charset="klingon"'}, "Content-Type"),
    ],
)
def test_a_body_that_is_packed_or_in_another_encoding_is_refused_by_name(
    app: FastAPI, headers: dict[str, str], field: str
) -> None:
    refused = ask(app, "POST", "/orders", content=b"{}", headers={"content-type": "application/json"} | headers)
    assert (refused.status_code, problem(refused)["field"]) == (415, field)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", 'application/json;charset="UTF-8"'])
def test_a_body_that_says_it_is_utf_8_is_read(app: FastAPI, kind: str) -> None:
    headers = {"content-type": kind, "content-encoding": "identity"}
    assert ask(app, "POST", "/orders", content=b'{"count": 1}', headers=headers).status_code == 200


@pytest.mark.parametrize(("given", "kept"), [("run-7.a", True), ("x" * 129, False), ("a b", False), ("", False)])
def test_request_ids_are_kept_when_they_are_plain(app: FastAPI, given: str, kept: bool) -> None:
    answer = ask(app, "GET", "/livez", headers={"X-Request-ID": given}).headers["x-request-id"]
    assert (answer == given) is kept
    assert answer


def test_failures_carry_the_request_id_too(app: FastAPI) -> None:
    assert ask(app, "GET", "/broken", headers={"X-Request-ID": "r1"}).headers["x-request-id"] == "r1"


def test_a_declared_length_beyond_the_limit_is_refused_unread(app: FastAPI) -> None:
    response = ask(app, "POST", "/orders", content=b"{}", headers={"content-length": str(BodyBound().bytes + 1)})
    assert problem(response)["code"] == "too-large"


def test_a_chunked_body_is_counted(app: FastAPI) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(BodyBound().bytes // 2**20 + 2):
            yield b" " * 2**20

    response = ask(app, "POST", "/orders", content=chunks(), headers={"content-type": "application/json"})
    assert problem(response)["code"] == "too-large"


def test_metrics_count_by_route_template(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> str:
        await asyncio.gather(*(client.get(f"/orders/{i}") for i in range(3)), client.get("/a-secret-path"))
        return (await client.get("/metrics")).text

    text = talk(app, conversation)
    assert 'mstar_http_requests_total{method="GET",route="/orders/{name}",status="404"} 3.0' in text
    assert 'route="unmatched",status="404"} 1.0' in text
    assert "a-secret-path" not in text


def test_the_retry_hint_of_readiness_is_short() -> None:
    app = base_app("bench", "1", BenchSettings(), not_ready=lambda: "starting")
    assert ask(app, "GET", "/readyz").headers["retry-after"] == str(int(app_module.RETRY_AFTER_SECONDS))


def test_a_schema_of_a_body_by_hand_does_not_replace_another_of_its_name() -> None:
    class Part(StrEnum):
        WHOLE = "whole"

    by_hand = {"$ref": "#/components/schemas/Part", "$defs": {"Part": {"type": "object", "properties": {}}}}
    app = base_app("x", "1", BenchSettings(), lambda: None)
    body = {"requestBody": {"content": {"application/json": {"schema": by_hand}}}}

    @app.get("/kind")
    def kind(part: Part) -> Part:
        return part

    @app.post("/body", openapi_extra=body)
    def posted(request: Request) -> None:
        return None

    document = app.openapi()
    schemas = document["components"]["schemas"]
    assert (schemas["Part"]["type"], schemas["PartBody"]["type"]) == ("string", "object")
    assert (schemas["Part"]["title"], schemas["PartBody"]["title"]) == ("Part", "PartBody")
    shown = document["paths"]["/body"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert shown["$ref"] == "#/components/schemas/PartBody"


def test_the_event_loop_turns_while_the_document_is_made() -> None:
    app = base_app("x", "1", BenchSettings(), lambda: None)
    made, answered = app.openapi, Event()

    def slow() -> dict[str, Any]:
        assert answered.wait(10)
        return made()

    app.openapi = slow  # type: ignore[method-assign]

    async def conversation(client: httpx2.AsyncClient) -> int:
        asked = asyncio.ensure_future(client.get("/openapi.json"))
        await asyncio.sleep(0)
        assert (await client.get("/livez")).status_code == 200
        answered.set()
        return (await asked).status_code

    assert talk(app, conversation) == 200
