"""Scoring through the coordinator: what the PRM says, to the letter, or an explicit refusal while it has no GPU."""

from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from coordinator_bench import HandClock, MemoryPublisher
from mstar_coordinator.app import build_app
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.routes.scoring import scoring_router
from mstar_coordinator.store.database import open_store
from mstar_prm.app import create_app as create_prm
from mstar_prm.config import PrmSettings
from mstar_web.app import base_app
from web_bench import BenchSettings, ask, talk

KEYS = {"run_admin_key": "r" * 20, "internal_key": "i" * 20}
QUESTION = {"question": "How much?", "image": {"sha256": "4" * 64}, "responses": [{"text": "61"}]}


@pytest.fixture
def relayed(tmp_path: Path) -> FastAPI:
    """A relay before a real PRM service that asks for a key and has no weights; both live as long."""
    keys = {"score_key": "s" * 20, "internal_key": "i" * 20, "weights_admin_key": "w" * 20}
    prm = create_prm(PrmSettings(home=tmp_path, threads=1, **keys))
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=prm), base_url="http://prm")
    app = base_app("relay", "1", BenchSettings(), lambda: None, lambda _: prm.router.lifespan_context(prm))
    app.include_router(scoring_router(client, "s" * 20))
    return app


def coordinator(tmp_path: Path, **settings: str) -> FastAPI:
    given = CoordinatorSettings(broker_url="redis://unused", home=tmp_path, data_root=tmp_path, **settings)
    return build_app(given, open_store(given.store_url()), MemoryPublisher(), HandClock())


def test_what_the_prm_answers_is_passed_on(relayed: FastAPI) -> None:
    async def asked(client: httpx2.AsyncClient) -> list[httpx2.Response]:
        return [
            await client.get("/v1/models"),
            await client.post("/v1/score", json=QUESTION | {"responses": []}),
            await client.post("/v1/rerank", json=QUESTION),
        ]

    models, bad, unknown_image = talk(relayed, asked)
    assert (models.status_code, models.json()) == (200, {"object": "list", "data": []})
    assert bad.status_code == 422 and bad.json()["field"] == "responses"
    assert bad.headers["content-type"] == "application/problem+json"
    assert unknown_image.status_code == 404 and unknown_image.json()["code"] == "not-found"


def test_a_prm_without_a_gpu_is_refused_with_a_time(tmp_path: Path) -> None:
    app = coordinator(tmp_path, prm_url="http://127.0.0.1:9")
    answer = ask(app, "POST", "/v1/score", json=QUESTION)
    assert answer.status_code == 503 and "no GPU now" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) >= 30


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
