"""Connections over real sockets: slow heads, slow bodies, idle ones and garbage end in stated time with a problem."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request

from mstar_web.app import base_app
from mstar_web.protocol import LimitedProtocol
from web_bench import BenchSettings, serving


class Hasty(LimitedProtocol):
    """Limits short enough for a test."""

    head_seconds = 0.3
    body_seconds = 0.3


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    app: FastAPI = base_app("bench", "1", BenchSettings(), not_ready=lambda: None)

    @app.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    @app.post("/parts")
    async def parts(request: Request) -> int:
        return len([part async for part in request.stream()])

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(3 * Hasty.head_seconds)
        return "done"

    with serving(app, Hasty) as url:
        yield int(url.rpartition(":")[2])


def answer(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """All that the service sends until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for part in parts:
            # A service that has closed already is what some tests are about.
            with contextlib.suppress(ConnectionError):
                connection.sendall(part)
            time.sleep(pause)
        received = b""
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                received += piece
        return received


def problem(received: bytes) -> tuple[int, str]:
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head.lower()
    found = json.loads(body)
    return found["status"], found["code"]


HEAD = b"POST /size HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "garbage",
    [
        b"NOT HTTP\r\n\r\n",
        b"GET / HTTP/9.9.9\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        HEAD + b"Content-Length: many\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_http_is_a_problem_too(port: int, garbage: bytes) -> None:
    received = answer(port, garbage)
    # A complete head in which only the host is missing or doubled gets as far as the app in some versions.
    assert problem(received) in ((400, "bad-request"), (421, "misdirected-request"), (408, "request-timeout"))


def test_a_head_that_drips_is_ended(port: int) -> None:
    parts = [b"GET /livez HTTP/1.1\r\n", *(b"X-%d: a\r\n" % number for number in range(30))]
    assert problem(answer(port, *parts, pause=0.05)) == (408, "request-timeout")


def test_a_connection_that_says_nothing_is_closed(port: int) -> None:
    assert answer(port) == b""


def test_a_body_that_drips_is_ended(port: int) -> None:
    parts = [HEAD + b"Content-Length: 1000\r\n\r\n", *([b"x"] * 30)]
    assert problem(answer(port, *parts, pause=0.05)) == (408, "request-timeout")


def test_what_follows_an_answer_has_the_same_limits(port: int) -> None:
    whole = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    received = answer(port, whole, b"GET /livez HTTP/1.1\r\n", *([b"X: a\r\n"] * 30), pause=0.05)
    assert received.startswith(b"HTTP/1.1 200")
    assert b"408" in received


def test_a_body_that_nobody_reads_is_not_waited_for(port: int) -> None:
    """The route does not exist, so the answer comes at once; the rest of the body may not hold the connection."""
    head = (
        b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"
    )
    received = answer(port, head, *([b"x"] * 30), pause=0.05)
    assert received.startswith(b"HTTP/1.1 404")


def test_several_requests_share_a_connection(port: int) -> None:
    body = HEAD + b"Content-Length: 3\r\n\r\nabc"
    last = HEAD + b"Content-Length: 4\r\nConnection: close\r\n\r\nabcd"
    received = answer(port, body, body + last)
    assert received.count(b"HTTP/1.1 200") == 3


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /slow HTTP/1.1\r\nConnection: close\r\n",
        # As nginx asks what it stands in front of, unless it is told otherwise.
        b"GET /slow HTTP/1.0\r\n",
    ],
)
def test_an_answer_that_takes_long_reaches_who_will_close_then(port: int, request_line: bytes) -> None:
    received = answer(port, request_line + b"Host: localhost\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200") and received.endswith(b'"done"')


@pytest.mark.parametrize(
    "head",
    [b"X: " + b"x" * 3_000_000, b"\r\n".join(b"X%d: a" % number for number in range(100_000))],
)
def test_who_sends_too_long_a_head_reads_why_it_is_refused(port: int, head: bytes) -> None:
    """Much of it is still on its way when the answer is written: a closed connection would be reset."""
    received = answer(port, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n")
    assert problem(received) == (431, "head-too-large")


@pytest.mark.parametrize("size", [b"F" * 16, b"1" + b"0" * 19])
def test_a_chunk_that_no_machine_could_store_is_refused_at_once(port: int, size: bytes) -> None:
    received = answer(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\nabc")
    assert problem(received) == (413, "too-large")


@pytest.mark.parametrize(
    "head",
    [
        b"POST /size HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"POST /size HTTP/1.0\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_what_two_readers_could_take_for_two_requests_is_refused_and_closed(port: int, head: bytes) -> None:
    """A proxy that goes by the length, or knows no chunks, takes the second request for part of the first."""
    declared = b"Host: localhost\r\nContent-Type: application/json\r\n\r\n"
    hidden = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    received = answer(port, head + declared + b"0\r\n\r\n" + hidden)
    assert received.count(b"HTTP/1.1 ") == 1
    assert problem(received) == (400, "bad-request")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://localhost/livez", b"200"),
        (b"HTTP://127.0.0.1:80/livez?x=http://a/b", b"200"),
        (b"http://localhost", b"404"),
        (b"http://localhost?x=/livez", b"404"),
        # The target counts, whatever the header says (RFC 9112, section 3.2.2).
        (b"http://evil.example/livez", b"421"),
        (b"http://user:word@localhost/livez", b"421"),
        (b"ftp://localhost/livez", b"404"),
    ],
)
def test_a_target_with_its_host_is_read_as_path_and_host(port: int, target: bytes, status: bytes) -> None:
    received = answer(port, b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert received.split()[1] == status


def test_a_body_in_tiny_chunks_is_read_in_turns(port: int) -> None:
    """All that arrives at once would hold up every other connection, for half a second where it is 256 KB."""
    count = 4_000
    head = b"POST /parts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    received = answer(port, head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * count + b"0\r\n\r\n")
    assert int(received.rpartition(b"\r\n")[2]) >= 6 * count / 4096
