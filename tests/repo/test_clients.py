"""Every client of the project before a server on a real socket that answers nonsense: a named error, never a crash."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutRequest
from mstar.api.prm import Candidate, ScoreRequest
from mstar.client import Client, Endpoint
from mstar.errors import Forbidden, Internal, MstarError, TooManyRequests, Unauthenticated, Unavailable
from mstar.steps import ArtefactRef, Queue
from mstar_coordinator.cluster.in_place import InPlace
from mstar_coordinator.worker.clients import PolicyService, PrmService
from mstar_worker.client import StepClient
from raw_server import RawServer, http

WEIGHTS = ArtefactRef(id="r-1/warmup/train", sha256="a" * 64)
IMAGE = ImageInput(sha256="0" * 64)
ROLLOUT = RolloutRequest(prompts=(Prompt(question="How many?", images=(IMAGE,), n=1),))
SCORE = ScoreRequest(question="How many?", images=(IMAGE,), responses=(Candidate(text="3"),))

HTML = b"<html><h1>welcome</h1></html>"
GARBAGE = {
    "not JSON": http(200, HTML, kind="text/html"),
    "nothing": http(200, b""),
    "no content": b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    "a list": http(200, b"[1]"),
    "null": http(200, b"null"),
    "wrong types": http(200, b'{"data": 3, "awake": "perhaps", "weight_version": [], "results": {}}'),
    "broken UTF-8": http(200, b'{"data": "\xff\xfe"}'),
    "deep": http(200, b"[" * 50_000),
    "not gzip": http(200, b"plain", "Content-Encoding: gzip"),
    "a redirect": http(302, b"", "Location: http://127.0.0.1:9/login"),
    "an error page": http(500, HTML, kind="text/html"),
    "another's 404": http(404, HTML, kind="text/html"),
    "another's 409": http(409, b'{"error": "conflict"}'),
    "a problem of wrong types": http(500, b'{"code": 7, "detail": [], "field": {}, "retry_after": "soon"}'),
    "a list as problem": http(400, b"[1]"),
}
SILENCE = {
    "closed": b"",
    "half an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n{",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a gateway's 502": http(502, HTML, kind="text/html"),
    "a gateway's 503": http(503, HTML, kind="text/html"),
    "a gateway's 504": http(504, b""),
}


def runs(url: str) -> Iterator[Callable[[], object]]:
    with Client(Endpoint(url=url)) as client:
        yield client.runs


def score(url: str) -> Iterator[Callable[[], object]]:
    with Client(Endpoint(prm_url=url)) as client:
        yield lambda: client.score(SCORE)


def steps(url: str) -> Iterator[Callable[[], object]]:
    client = StepClient(url)
    yield lambda: client.claim("r-1-000001", "worker")
    client.close()


def policy(url: str) -> Iterator[Callable[[], object]]:
    service = PolicyService(url, patience_seconds=0)
    yield lambda: service.rollouts(ROLLOUT, WEIGHTS)
    service.close()


def prm(url: str) -> Iterator[Callable[[], object]]:
    service = PrmService(url, patience_seconds=0)
    yield lambda: service.score(SCORE, WEIGHTS)
    service.close()


def power(url: str) -> Iterator[Callable[[], object]]:
    cluster = InPlace({Queue.ROLLOUT: url}, None)
    yield cluster.pods
    cluster.close()


CLIENTS = {"runs": runs, "score": score, "steps": steps, "policy": policy, "prm": prm, "power": power}
every_client = pytest.mark.parametrize("client", CLIENTS)


@contextmanager
def asking(client: str, answer: bytes) -> Iterator[tuple[RawServer, Callable[[], object]]]:
    """A server with this answer, and a call of this client to it."""
    with RawServer(answer) as server, contextmanager(CLIENTS[client])(server.url) as ask:
        yield server, ask


def expect(client: str, kind: type[MstarError], answer: bytes) -> str:
    """The detail of the error that the answer becomes. Turns on GPUs know one error: Unavailable, which waits."""
    with asking(client, answer) as (server, ask):
        with pytest.raises(Unavailable if client == "power" else kind) as caught:
            ask()
        assert server.url in caught.value.detail
        assert server.requests
    return caught.value.detail


@every_client
@pytest.mark.parametrize("answer", GARBAGE)
def test_an_answer_of_another_shape_is_internal_and_names_the_service(client: str, answer: str) -> None:
    assert "is it another service" in expect(client, Internal, GARBAGE[answer])


@every_client
@pytest.mark.parametrize("answer", SILENCE)
def test_a_service_that_is_away_is_unavailable_and_named(client: str, answer: str) -> None:
    detail = expect(client, Unavailable, SILENCE[answer])
    assert "a gateway in front of" in detail or ("nothing answers at" in detail and "or set MSTAR_" in detail)


@every_client
@pytest.mark.parametrize(("status", "kind"), [(401, Unauthenticated), (403, Forbidden)])
@pytest.mark.parametrize("body", [HTML, b'{"code": "forbidden", "detail": "no such key"}'])
def test_a_refused_key_names_its_variable(client: str, status: int, kind: type[MstarError], body: bytes) -> None:
    if status == 401:
        body = body.replace(b"forbidden", b"unauthenticated")
    detail = expect(client, kind, http(status, body))
    assert "key: " in detail and "set MSTAR_" in detail and "_KEY" in detail


@every_client
def test_a_busy_gateway_is_asked_again_later(client: str) -> None:
    expect(client, TooManyRequests, http(429, HTML, kind="text/html"))


@every_client
def test_a_problem_comes_back_as_its_error(client: str) -> None:
    problem = Internal("the disk is broken", field="home").problem()
    with asking(client, http(500, json.dumps(problem).encode())) as (_, ask):
        with pytest.raises(MstarError, match="the disk is broken") as caught:
            ask()
        assert caught.value.code == ("unavailable" if client == "power" else "internal")


@every_client
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "ftp://127.0.0.1", "nowhere", "http://[::1", "http://127.0.0.1:x"]
)
def test_a_url_where_nothing_can_answer_is_unavailable(client: str, url: str) -> None:
    with contextmanager(CLIENTS[client])(url) as ask, pytest.raises(Unavailable):
        ask()
