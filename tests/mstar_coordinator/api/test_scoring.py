"""Scoring through the coordinator: what the PRM says, to the letter, or an explicit refusal while it has no GPU."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from coordinator_bench import HandClock, MemoryPublisher, lay_tables
from mstar_coordinator.api.app import build_app
from mstar_coordinator.api.routes.scoring import scoring_router
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.relay import Relay
from mstar_coordinator.store.database import open_store
from mstar_prm.app import create_app as create_prm
from mstar_prm.config import PrmSettings
from mstar_web.app import base_app
from web_bench import BenchSettings, ask, talk

KEYS = {"run_admin_key": "r" * 20, "internal_key": "i" * 20}
QUESTION = {"question": "How much?", "images": [{"sha256": "4" * 64}], "responses": [{"text": "61"}]}


@pytest.fixture
def relayed(tmp_path: Path) -> FastAPI:
    """A relay before a real PRM service that asks for a key and has no weights; both live as long."""
    keys = {"score_key": "s" * 20, "internal_key": "i" * 20, "weights_admin_key": "w" * 20}
    prm = create_prm(PrmSettings(home=tmp_path, threads=1, **keys))
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=prm), base_url="http://prm")
    app = base_app("relay", "1", BenchSettings(), lambda: None, lambda _: prm.router.lifespan_context(prm))
    app.include_router(scoring_router(Relay(client, "s" * 20)))
    return app


def coordinator(tmp_path: Path, **settings: str) -> FastAPI:
    given = CoordinatorSettings(broker_url="redis://unused", home=tmp_path, data_root=tmp_path, **settings)
    lay_tables(tmp_path)
    return build_app(given, open_store(given.store_url()), MemoryPublisher(), HandClock())


def test_what_the_prm_answers_is_passed_on(relayed: FastAPI) -> None:
    async def asked(client: httpx2.AsyncClient) -> list[httpx2.Response]:
        return [
            await client.get("/v1/models"),
            await client.post("/v1/score", json=QUESTION | {"responses": []}),
            await client.post("/v1/rerank", json=QUESTION),
        ]

    models, bad, not_ready = talk(relayed, asked)
    assert (models.status_code, models.json()) == (200, {"object": "list", "data": []})
    assert bad.status_code == 422 and bad.json()["field"] == "responses"
    assert bad.headers["content-type"] == "application/problem+json"
    # Without weights the image isn't even looked for.
    assert (not_ready.status_code, not_ready.json()["code"]) == (503, "unavailable")
    assert "no weights" in not_ready.json()["detail"]


def test_a_prm_without_a_gpu_is_refused_with_a_time(tmp_path: Path) -> None:
    app = coordinator(tmp_path, prm_url="http://127.0.0.1:9")
    answer = ask(app, "POST", "/v1/score", json=QUESTION)
    assert answer.status_code == 503 and "the PRM does not answer" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) >= 30


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def through(listener: socket.socket) -> FastAPI:
    """A relay before what listens there, with little patience."""
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = base_app("relay", "1", BenchSettings(), lambda: None)
    client = httpx2.AsyncClient(base_url=url, timeout=httpx2.Timeout(0.2, connect=5))
    app.include_router(scoring_router(Relay(client, None)))
    return app


def test_a_prm_that_is_there_and_does_not_answer_is_not_called_away(listener: socket.socket) -> None:
    answer = ask(through(listener), "POST", "/v1/score", json=QUESTION)
    assert answer.status_code == 503 and "retry-after" in answer.headers
    assert "gave no answer in time: send fewer responses" in answer.json()["detail"]


def test_a_prm_that_goes_in_the_middle_is_told_as_such(listener: socket.socket) -> None:
    def hang_up() -> None:
        connection, _ = listener.accept()
        connection.recv(1)
        connection.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    answer = ask(through(listener), "POST", "/v1/score", json=QUESTION)
    thread.join()
    assert answer.status_code == 503 and "went away in the middle" in answer.json()["detail"]


class Replica:
    """A PRM that counts its requests, and answers none before `let` is set."""

    def __init__(self) -> None:
        self.asked, self.let = 0, asyncio.Event()
        self.app = FastAPI()
        self.app.add_api_route("/v1/models", self._answer)

    async def _answer(self) -> dict[str, int]:
        self.asked += 1
        await self.let.wait()
        return {"asked": self.asked}


class Away(httpx2.AsyncBaseTransport):
    """An address at which nobody is."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("nobody", request=request)


def spread_over(transports: dict[str, httpx2.AsyncBaseTransport]) -> FastAPI:
    client = httpx2.AsyncClient(base_url="http://prm", mounts=dict(transports))
    app = base_app("relay", "1", BenchSettings(), lambda: None)
    app.include_router(scoring_router(Relay(client, None, lambda _: list(transports))))
    return app


def test_replicas_are_asked_in_turn_and_a_busy_one_is_spared() -> None:
    first, second = Replica(), Replica()
    app = spread_over(
        {"http://one": httpx2.ASGITransport(app=first.app), "http://two": httpx2.ASGITransport(app=second.app)}
    )

    async def asked(client: httpx2.AsyncClient) -> list[tuple[int, int]]:
        second.let.set()
        slow = asyncio.create_task(client.get("/v1/models"))
        while not first.asked:
            await asyncio.sleep(0)
        seen = []
        for _ in range(3):
            await client.get("/v1/models")
            seen.append((first.asked, second.asked))
        first.let.set()
        await slow
        for _ in range(4):
            await client.get("/v1/models")
            seen.append((first.asked, second.asked))
        return seen

    busy, free = (seen := talk(app, asked))[:3], seen[3:]
    assert busy == [(1, 1), (1, 2), (1, 3)]
    assert free[-1] == (3, 5), "two more for each"


def test_a_replica_that_is_away_is_passed_over() -> None:
    there = Replica()
    there.let.set()
    app = spread_over({"http://one": Away(), "http://two": httpx2.ASGITransport(app=there.app)})

    async def asked(client: httpx2.AsyncClient) -> list[int]:
        return [(await client.get("/v1/models")).status_code for _ in range(4)]

    assert talk(app, asked) == [200] * 4 and there.asked == 4


def test_only_the_key_for_scoring_opens_it(tmp_path: Path) -> None:
    app = coordinator(tmp_path, prm_url="http://127.0.0.1:9", score_key="s" * 20, **KEYS)

    async def with_each(client: httpx2.AsyncClient) -> list[int]:
        paths = ("/v1/models", "s"), ("/v1/models", "r"), ("/v1/models", "i"), ("/v1/models", "x"), ("/v1/runs", "s")
        asked = [await client.get(path, headers={"authorization": f"Bearer {key * 20}"}) for path, key in paths]
        return [answer.status_code for answer in asked]

    assert talk(app, with_each) == [503, 403, 403, 401, 403]


def test_without_a_prm_there_is_no_such_route(tmp_path: Path) -> None:
    assert ask(coordinator(tmp_path), "POST", "/v1/score", json=QUESTION).status_code == 404


def test_a_relay_among_keys_needs_its_own() -> None:
    with pytest.raises(ValidationError, match="set score_key too"):
        CoordinatorSettings(broker_url="redis://unused", prm_url="http://127.0.0.1:9", **KEYS)
