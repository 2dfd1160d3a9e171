"""The client over a transport that answers by a rule: paths, keys, errors by class."""

import json

import httpx2
import pytest

from mstar.api.images import ImageInput
from mstar.api.prm import Candidate, ScoreRequest
from mstar.api.runs import RunCreate
from mstar.client import ONCE, Client, Endpoint
from mstar.errors import Internal, InvalidInput, InvalidRecipe, MstarError, Unavailable

ENDPOINT = Endpoint("http://runs:1/", "http://scores:2", run_admin_key="admin", score_key="score")
SCORE = ScoreRequest(question="How many?", images=(ImageInput(sha256="0" * 64),), responses=(Candidate(text="3"),))


class Answers(httpx2.BaseTransport):
    """Gives the same answer to every request, and remembers the requests."""

    def __init__(self, status: int, body: str) -> None:
        self.status, self.body = status, body
        self.requests: list[httpx2.Request] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.requests.append(request)
        return httpx2.Response(self.status, content=self.body)


class Silent(httpx2.BaseTransport):
    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")


def test_each_service_gets_its_own_address_and_key() -> None:
    answers = Answers(200, json.dumps({"data": []}))
    with Client(ENDPOINT, answers) as client:
        assert client.runs(after="r-1", limit=5).data == ()
        answers.body = json.dumps({"model_version": "m@1", "results": []})
        assert client.score(SCORE).model_version == "m@1"
    runs, scores = answers.requests
    assert str(runs.url) == "http://runs:1/v1/runs?after=r-1&limit=5"
    assert runs.headers["authorization"] == "Bearer admin"
    assert str(scores.url) == "http://scores:2/v1/score"
    assert scores.headers["authorization"] == "Bearer score"


def test_without_keys_none_is_sent() -> None:
    answers = Answers(200, json.dumps({"data": []}))
    with Client(Endpoint(), answers) as client:
        client.runs()
    assert "authorization" not in answers.requests[0].headers


def test_an_idempotency_key_goes_along() -> None:
    answers = Answers(409, json.dumps({"code": "conflict", "status": 409, "title": "Conflict", "detail": "later"}))
    with Client(ENDPOINT, answers) as client, pytest.raises(MstarError, match="later"):
        client.create_run(RunCreate(recipe="demo"), "once")
    assert answers.requests[0].headers["idempotency-key"] == "once"


def test_problems_come_back_as_their_errors() -> None:
    problem = {"code": "invalid-recipe", "status": 422, "title": "t", "detail": "unknown key", "field": "evolution.nn"}
    with Client(ENDPOINT, Answers(422, json.dumps(problem))) as client, pytest.raises(InvalidRecipe) as caught:
        client.create_run(RunCreate(recipe="demo"))
    assert (caught.value.field, caught.value.detail) == ("evolution.nn", "unknown key")


@pytest.mark.parametrize("body", ["", "<html>bad gateway</html>", "[1]", "null"])
def test_an_error_page_of_another_server_does_not_pass_for_a_missing_run(body: str) -> None:
    with Client(ENDPOINT, Answers(404, body)) as client, pytest.raises(Internal, match="http://runs:1 answers 404"):
        client.run("r-1")


@pytest.mark.parametrize("body", ["", "<html>welcome</html>", "[1]", '{"data": 3}'])
def test_a_good_answer_of_another_server_is_told(body: str) -> None:
    with Client(ENDPOINT, Answers(200, body)) as client, pytest.raises(Internal, match="http://runs:1"):
        client.runs()


def test_silence_names_the_address_and_the_remedy() -> None:
    with Client(ENDPOINT, Silent()) as client:
        assert not client.reachable()
        with pytest.raises(Unavailable, match="nothing answers at http://runs:1: start it with `mstar up`"):
            client.runs()
        with pytest.raises(Unavailable, match=r"http://scores:2: .* set MSTAR_PRM_URL"):
            client.score(SCORE)


def test_the_environment_names_addresses_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MSTAR_URL", "MSTAR_PRM_URL", "MSTAR_RUN_ADMIN_KEY", "MSTAR_SCORE_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert Endpoint.from_environment() == Endpoint()
    monkeypatch.setenv("MSTAR_URL", "http://there:8400")
    monkeypatch.setenv("MSTAR_RUN_ADMIN_KEY", "k")
    monkeypatch.setenv("MSTAR_SCORE_KEY", "")
    assert Endpoint.from_environment() == Endpoint(url="http://there:8400", run_admin_key="k")


@pytest.mark.parametrize("url", ["", "there:8400", "ftp://there", "http:///v1"])
def test_a_variable_that_holds_no_address_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSTAR_URL", url)
    with pytest.raises(InvalidInput, match="MSTAR_URL is not an address: write it like "):
        Endpoint.from_environment()


@pytest.mark.parametrize(("code", "status"), [("unauthenticated", 401), ("forbidden", 403)])
def test_an_error_about_keys_names_the_variable(code: str, status: int) -> None:
    problem = {"code": code, "status": status, "title": "t", "detail": "this key may not use /v1/runs"}
    with Client(ENDPOINT, Answers(status, json.dumps(problem))) as client:
        with pytest.raises(MstarError, match="set MSTAR_RUN_ADMIN_KEY"):
            client.runs()
        with pytest.raises(MstarError, match="set MSTAR_SCORE_KEY"):
            client.score(SCORE)


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateway_without_its_service_is_away_and_not_broken(status: int) -> None:
    with Client(ENDPOINT, Answers(status, "<html>"), ONCE) as client, pytest.raises(Unavailable, match="restarting"):
        client.runs()


def test_samples_steps_and_recipes_can_be_asked_for() -> None:
    answers = Answers(200, json.dumps({"data": []}))
    with Client(ENDPOINT, answers) as client:
        assert client.samples("r-1", 2).data == client.steps("r-1").data == client.recipes().data == ()
    paths = [str(request.url).removeprefix("http://runs:1") for request in answers.requests]
    assert paths == ["/v1/runs/r-1/samples?iteration=2&limit=20", "/v1/runs/r-1/steps?limit=100", "/v1/recipes"]
