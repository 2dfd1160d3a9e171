"""Both clients send the same requests and read the same answers: every operation is declared once."""

import asyncio
import inspect
import json
from typing import Any

import httpx2
import pytest

from mstar.api.batches import BatchCreate
from mstar.api.policy import Prompt, RolloutRequest
from mstar.api.prm import Candidate, RerankRequest, ScoreRequest
from mstar.api.runs import RunCreate
from mstar.client import AsyncClient, Client, Endpoint
from mstar.client.operations import operation
from mstar.errors import NotFound, Unreachable

ENDPOINT = Endpoint("http://runs:1", "http://scores:2", "admin", "score", "http://policy:3", internal_key="inside")
BATCH = {
    "id": "batch-1",
    "endpoint": "/v1/score",
    "input_file_id": "file-1",
    "completion_window": "24h",
    "status": "completed",
    "created_at": 1,
    "in_progress_at": 1,
    "expires_at": 2,
    "request_counts": {"total": 1, "completed": 1, "failed": 0},
}
FILE = {"id": "file-1", "bytes": 3, "created_at": 1, "filename": "x.jsonl", "purpose": "batch", "sha256": "0" * 64}
SCORES = {"model_version": "m@1", "results": []}
ASKED = [
    ("score", (ScoreRequest(question="q", responses=(Candidate(text="a"),)),), SCORES, "POST http://scores:2/v1/score"),
    (
        "rerank",
        (RerankRequest(question="q", responses=(Candidate(text="a"),), top_n=1),),
        SCORES,
        "POST http://scores:2/v1/rerank",
    ),
    (
        "rollouts",
        (RolloutRequest(prompts=(Prompt(question="q"),)),),
        {"weight_version": "m@1", "samples": []},
        "POST http://policy:3/v1/rollouts",
    ),
    ("runs", (), {"data": []}, "GET http://runs:1/v1/runs?limit=50"),
    ("events", ("r-1", "3"), {"data": []}, "GET http://runs:1/v1/runs/r-1/events?after=3&limit=100"),
    ("batches", (), {"data": []}, "GET http://runs:1/v1/batches?limit=20"),
    ("batch", ("batch-1",), BATCH, "GET http://runs:1/v1/batches/batch-1"),
    ("cancel_batch", ("batch-1",), BATCH, "POST http://runs:1/v1/batches/batch-1/cancel"),
    (
        "create_batch",
        (BatchCreate(input_file_id="file-1", endpoint="/v1/score"), "once"),
        BATCH,
        "POST http://runs:1/v1/batches",
    ),
    ("upload", ("x.jsonl", b"{}\n"), FILE, "POST http://runs:1/v1/files"),
    ("files", (), {"data": [FILE]}, "GET http://runs:1/v1/files?limit=20"),
    ("delete_file", ("file-1",), {"id": "file-1"}, "DELETE http://runs:1/v1/files/file-1"),
]


class Answers(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Gives the same answer to every request, and remembers the requests."""

    def __init__(self, body: Any, status: int = 200) -> None:
        self.body, self.status = json.dumps(body), status
        self.requests: list[httpx2.Request] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.requests.append(request)
        return httpx2.Response(self.status, content=self.body)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        self.requests.append(request)
        return httpx2.Response(self.status, content=self.body)


def _awaited(answers: Answers, name: str, given: tuple[Any, ...]) -> Any:
    async def ask() -> Any:
        async with AsyncClient(ENDPOINT, answers) as client:
            return await getattr(client, name)(*given)

    return asyncio.run(ask())


@pytest.mark.parametrize(("name", "given", "body", "line"), ASKED, ids=[one[0] for one in ASKED])
def test_both_clients_send_the_same_request(name: str, given: tuple[Any, ...], body: Any, line: str) -> None:
    answers = Answers(body)
    with Client(ENDPOINT, answers) as client:
        reply = getattr(client, name)(*given)
    assert _awaited(answers, name, given) == reply
    one, other = answers.requests
    assert f"{one.method} {one.url}" == f"{other.method} {other.url}" == line
    assert one.headers["authorization"] == other.headers["authorization"]
    if name != "upload":
        assert one.content == other.content


def test_every_operation_is_a_method_of_both_with_the_same_parameters() -> None:
    names = {name for kind in Client.__mro__ for name, held in vars(kind).items() if isinstance(held, operation)}
    assert {"score", "rerank", "rollouts", "runs", "events", "batches", "create_run"} <= names
    with Client(ENDPOINT) as client:
        for name in names:
            own = inspect.signature(getattr(client, name)).parameters
            assert list(own) == list(inspect.signature(getattr(AsyncClient(ENDPOINT), name)).parameters)
            assert getattr(client, name).__doc__


def test_sampling_takes_the_internal_key_and_batches_the_one_for_scoring_where_there_is_no_other() -> None:
    answers = Answers({"weight_version": "m@1", "samples": []})
    with Client(ENDPOINT, answers) as client:
        client.rollouts(RolloutRequest(prompts=(Prompt(question="q"),)))
    answers.body = json.dumps({"data": []})
    with Client(Endpoint(score_key="score"), answers) as client:
        client.batches()
    assert [one.headers["authorization"] for one in answers.requests] == ["Bearer inside", "Bearer score"]


def test_an_upload_is_a_form_that_a_service_without_keys_takes_too() -> None:
    answers = Answers(FILE)
    with Client(Endpoint(), answers) as client:
        assert client.upload("x.jsonl", b'{"a": 1}\n').id == "file-1"
    sent = answers.requests[0]
    assert sent.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="purpose"\r\n\r\nbatch' in sent.content and b'filename="x.jsonl"' in sent.content
    assert "authorization" in sent.headers


def test_a_run_that_is_started_twice_by_a_retry_is_one_run() -> None:
    answers = Answers({"code": "not-found", "detail": "no recipe of that name"}, 404)
    with Client(ENDPOINT, answers) as client:
        for _ in range(2):
            with pytest.raises(NotFound):
                client.create_run(RunCreate(recipe="demo"))
    one, other = (request.headers["idempotency-key"] for request in answers.requests)
    # Two calls are two runs; only the tries of one call share a key.
    assert len(one) == 32 and one != other


def test_errors_come_back_the_same_way() -> None:
    with pytest.raises(NotFound, match="no run"):
        _awaited(Answers({"code": "not-found", "detail": "no run r-1"}, 404), "run", ("r-1",))

    async def nobody() -> None:
        async with AsyncClient(Endpoint("http://127.0.0.1:1")) as client:
            await client.runs()

    with pytest.raises(Unreachable, match="start it with `mstar up`"):
        asyncio.run(nobody())
