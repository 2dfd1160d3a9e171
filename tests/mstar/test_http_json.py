"""The sender by itself: what it sends, and what its messages never show."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from pydantic import BaseModel

from mstar.errors import InvalidInput, NotFound, TooManyRequests, Unauthenticated, Unavailable
from mstar.http_json import Sender, Target
from raw_server import RawServer, http
from silent_server import SilentServer

TIMEOUT = httpx2.Timeout(10)


class Body(BaseModel):
    """A body both ways."""

    number: int


def test_body_key_and_headers_go_along_and_the_reply_is_validated() -> None:
    with RawServer(http(200, b'{"number": 4}')) as server:
        sender = Sender(TIMEOUT)
        target = Target(f"{server.url}/behind/", "secret")
        sent = {"Idempotency-Key": "once"}
        assert (
            sender.send(target, "POST", "/v1/n", Body, body=Body(number=3), params={"a": 1}, headers=sent).number == 4
        )
        sender.close()
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /behind/v1/n?a=1 http/1.1" and body == b'{"number":3}'
    assert {b"authorization: bearer secret", b"idempotency-key: once", b"content-type: application/json"} <= set(lines)


def test_credentials_in_a_url_are_never_shown() -> None:
    target = Target("http://user:hunter2@127.0.0.1:9/v1/", "the-key")
    assert target.shown == "http://127.0.0.1:9/v1"
    with pytest.raises(Unavailable) as caught:
        Sender(TIMEOUT).send(target, "GET", "/x", Body)
    assert "hunter2" not in caught.value.detail and "the-key" not in repr(target)


@pytest.mark.parametrize("key", ["schlüssel", "two\nlines", "tab\t", "\x00"])
def test_a_key_that_no_header_can_carry_is_named_and_not_shown(key: str) -> None:
    with pytest.raises(Unauthenticated, match="set MSTAR_KEY") as caught:
        Sender(TIMEOUT).send(Target("http://127.0.0.1:9", key, key_setting="MSTAR_KEY"), "GET", "/x", Body)
    assert key not in caught.value.detail


def test_a_problem_keeps_field_and_pause_and_an_unknown_code_goes_by_status() -> None:
    body = b'{"code": "slow-down", "detail": "later", "field": "n", "retry_after": 2.5}'
    with RawServer(http(429, body)) as server, pytest.raises(TooManyRequests) as caught:
        Sender(TIMEOUT).send(Target(server.url), "GET", "/x", Body)
    assert (caught.value.detail, caught.value.field, caught.value.retry_after) == ("later", "n", 2.5)


def test_a_service_reaches_or_not() -> None:
    sender = Sender(TIMEOUT)
    with RawServer(http(200, b"ok")) as server:
        assert sender.reaches(Target(server.url), "/livez", 5)
    with RawServer(http(404, b"")) as server:
        assert not sender.reaches(Target(server.url), "/livez", 5)
    assert not sender.reaches(Target("http://127.0.0.1:1"), "/livez", 5)
    assert not sender.reaches(Target("http://[::1"), "/livez", 5)
    with pytest.raises(NotFound), RawServer(http(404, b'{"code": "not-found", "title": "no run"}')) as server:
        sender.send(Target(server.url), "GET", "/x", Body)


def test_requests_under_way_are_given_up_at_once_and_the_next_one_is_not() -> None:
    sender = Sender(httpx2.Timeout(60))
    with SilentServer() as silent, ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(sender.send, Target(silent.url), "GET", "/x", Body) for _ in range(3)]
        silent.wait_for(3)
        sender.give_up()
        for one in asked:
            with pytest.raises(Unavailable):
                one.result(timeout=10)
        assert silent.left.wait(10)
    with RawServer(http(200, b'{"number": 4}')) as server:
        assert sender.send(Target(server.url), "GET", "/x", Body).number == 4


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the timers of connections are seen on Linux")
def test_a_connection_is_watched_for_a_machine_that_is_gone() -> None:
    with SilentServer() as server, ThreadPoolExecutor(1) as pool:
        sender = Sender(TIMEOUT)
        asked = pool.submit(sender.send, Target(server.url), "GET", "/x", Body)
        assert server.asked.wait(10)
        port = f":{int(server.url.rpartition(':')[2]):04X}"
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        # Columns: number, local and remote address, state, queues, timer and when it is due.
        (timer,) = [line[5] for line in lines if line[2].endswith(port) and line[3] == "01"]
        sender.give_up()
        with pytest.raises(Unavailable):
            asked.result(10)
        sender.close()
    kind, due = (int(part, 16) for part in timer.split(":"))
    # In hundredths of a second.
    assert kind == 2 and 0 < due <= 1500


@pytest.mark.parametrize(
    "name",
    [
        "../keys",
        "..",
        ".",
        "",
        "../keys?b=1",
        "%2e%2E",
        "..%2Fkeys",
        "a#b",
        "a?b=1",
        "a b",
        "a\\b",
        "ä",
        "a\n",
        "a/../b",
        "a//b",
    ],
)
def test_an_id_leads_to_no_other_route(name: str) -> None:
    # Nothing listens there: what is refused is refused before anything is sent.
    with pytest.raises(InvalidInput, match="check the id"):
        Sender(TIMEOUT).send(Target("http://127.0.0.1:9"), "DELETE", f"/v1/runs/{name}", Body)
