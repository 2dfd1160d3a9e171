"""When a request is sent again: never before Retry-After, never where it could happen twice."""

import asyncio
import json

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.api.prm import Candidate, ScoreRequest
from mstar.client import ONCE, AsyncClient, Client, Endpoint, Retries
from mstar.errors import (
    InvalidInput,
    MstarError,
    TooManyRequests,
    Unanswered,
    Unavailable,
    Unreachable,
)
from mstar.http_json import retry_after

SCORE = ScoreRequest(question="How many?", responses=(Candidate(text="3"),))
BUSY = (429, {"retry-after": "7"}, {"code": "too-many-requests", "detail": "later"})
GOOD = (200, {}, {"model_version": "m@1", "results": []})
RUN_GONE = (503, {}, {"code": "unavailable", "detail": "draining", "retry_after": 2})


class Script(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Answers in turn; an exception is raised instead."""

    def __init__(self, *answers: tuple[int, dict[str, str], object] | Exception) -> None:
        self.answers = list(answers)
        self.keys: list[str | None] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.keys.append(request.headers.get("idempotency-key"))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return httpx2.Response(answer[0], headers=answer[1], content=json.dumps(answer[2]))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return self.handle_request(request)


def waits(script: Script, retries: Retries | None = None) -> list[float]:
    """Pauses until the score is there."""
    slept: list[float] = []
    with Client(Endpoint(), script, retries, slept.append) as client:
        client.score(SCORE)
    return slept


def test_a_busy_service_is_asked_again_after_the_time_that_it_names() -> None:
    (first, second) = waits(Script(BUSY, RUN_GONE, GOOD))
    assert 7 <= first < 7.5 and 2 <= second < 3


def test_the_async_client_waits_as_well() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def ask() -> None:
        async with AsyncClient(Endpoint(), Script(BUSY, GOOD), sleep=sleep) as client:
            await client.score(SCORE)

    asyncio.run(ask())
    assert len(slept) == 1 and slept[0] >= 7


def test_a_connection_that_breaks_off_is_made_again_for_what_changes_nothing() -> None:
    assert len(waits(Script(httpx2.ReadError("gone"), GOOD))) == 1


def test_a_change_whose_answer_is_lost_is_not_sent_again() -> None:
    script = Script(httpx2.ReadError("gone"))
    with Client(Endpoint(), script, sleep=lambda _: None) as client, pytest.raises(Unanswered):
        client.pause("r-1")
    assert len(script.keys) == 1


@pytest.mark.parametrize("status", [502, 504])
def test_a_change_that_a_gateway_lost_is_not_sent_again(status: int) -> None:
    script = Script((status, {}, "<html>bad gateway</html>"))
    with Client(Endpoint(), script, sleep=lambda _: None) as client, pytest.raises(Unanswered, match="a gateway"):
        client.pause("r-1")
    assert len(script.keys) == 1


def test_a_gateway_without_a_service_behind_it_is_asked_again() -> None:
    assert len(waits(Script((503, {}, "no upstream"), (504, {}, "late"), GOOD))) == 2


def test_the_tries_of_one_call_share_one_key() -> None:
    refused = (422, {}, {"code": "invalid-input", "detail": "no"})
    script = Script(httpx2.ReadError("gone"), RUN_GONE, refused)
    with Client(Endpoint(), script, sleep=lambda _: None) as client, pytest.raises(InvalidInput):
        client.extend("r-1")
    assert len(script.keys) == 3 and len(set(script.keys)) == 1 and script.keys[0]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (Script(httpx2.ConnectError("refused")), Unreachable),
        (Script((503, {"retry-after": "3600"}, {"code": "unavailable", "detail": "asleep"})), Unavailable),
        (Script((422, {}, {"code": "invalid-input", "detail": "no"})), InvalidInput),
    ],
    ids=["refused", "longer than wanted", "the caller's fault"],
)
def test_some_errors_are_raised_at_once(script: Script, error: type[MstarError]) -> None:
    with pytest.raises(error):
        waits(script)
    assert len(script.keys) == 1


def test_patience_ends_and_can_be_none() -> None:
    with pytest.raises(TooManyRequests):
        waits(Script(*[BUSY] * 5))
    script = Script(BUSY)
    with pytest.raises(TooManyRequests):
        waits(script, ONCE)
    assert len(script.keys) == 1


@given(st.integers(1, 20), st.floats(0, 60) | st.none(), st.floats(0, 1))
def test_a_pause_is_never_shorter_than_asked_nor_longer_than_allowed(
    tried: int, asked: float | None, draw: float
) -> None:
    retries = Retries(tries=21)
    pause = retries.pause(tried, TooManyRequests("later", retry_after=asked), repeatable=False, draw=draw)
    assert pause is not None and (asked or 0) <= pause <= retries.longest


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("9" * 400, 366 * 86_400.0),
        ("-1", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, 10.0) == seconds
