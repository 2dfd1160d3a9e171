"""Tests of the policy's HTTP routes but chats, over the fake engine and once over the real one."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from mstar.api.policy import RolloutReply
from mstar.steps import ArtefactRef
from mstar_artefacts.images import ImageStore
from mstar_artefacts.store import ArtefactStore
from mstar_policy.app import build_app, choose_engine
from mstar_policy.chat import ModelNotFound, require_model
from mstar_policy.config import EngineChoice, PolicySettings
from mstar_policy.hf_engine import HfEngine
from mstar_web.logs import configure_logs
from policy_bench import DATA, FakeEngine, chat, corrupt, png
from refused_weights import check_refused_weights
from route_table import check_table
from web_bench import ask, post_and_leave, talk

JSON = {"content-type": "application/json"}


def body(**fields: Any) -> dict[str, Any]:
    item = {"question": "How many bars are there?", "images": [{"data": DATA}], "n": 2}
    return {"prompts": [item], "max_tokens": 8, **fields}


def test_the_whole_path_with_the_real_engine(store: ArtefactStore, warm: ArtefactRef, newer: ArtefactRef) -> None:
    corrupt(store, newer)
    app = build_app(PolicySettings(home=store.root), HfEngine(store))

    async def conversation(client: httpx2.AsyncClient) -> None:
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.post("/v1/rollouts", json=body())).status_code == 503
        update = {"artefact": warm.id, "manifest_sha256": warm.sha256}
        assert (await client.put("/v1/weights", json=update)).json()["weight_version"] == warm.version
        assert (await client.get("/readyz")).status_code == 200
        first = RolloutReply.model_validate_json((await client.post("/v1/rollouts", json=body())).content)
        assert (first.weight_version, len(first.samples[0])) == (warm.version, 2)
        bad = await client.put("/v1/weights", json={"artefact": newer.id, "manifest_sha256": newer.sha256})
        assert (bad.status_code, bad.json()["code"]) == (500, "corrupt-artefact")
        again = RolloutReply.model_validate_json((await client.post("/v1/rollouts", json=body())).content)
        assert again == first

    talk(app, conversation)


def test_weights_that_cannot_be_meant_are_the_callers_fault_and_the_old_ones_stay(
    store: ArtefactStore, warm: ArtefactRef
) -> None:
    check_refused_weights(build_app(PolicySettings(home=store.root), HfEngine(store)), store, warm)


def test_images_may_be_named_by_hash(app: FastAPI, store: ArtefactStore) -> None:
    digest = ImageStore(store.root / ".mstar" / "images").put(png())
    prompts = [
        {"question": "How many?", "images": [{"sha256": digest}]},
        {"question": "How many?", "images": [{"data": DATA}]},
    ]
    reply = RolloutReply.model_validate_json(ask(app, "POST", "/v1/rollouts", json={"prompts": prompts}).content)
    assert reply.samples[0] == reply.samples[1]


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"prompts": []}, 422, "invalid-input", "prompts"),
        ({"max_tokens": 0}, 422, "invalid-input", "max_tokens"),
        ({"top_p": "NaN"}, 422, "invalid-input", "top_p"),
        ({"surprise": 1}, 422, "invalid-input", "surprise"),
        ({"weight_version": "other@000000000000"}, 409, "weight-version-mismatch", None),
        ({"prompts": [{"question": "?", "images": [{"sha256": "0" * 64}]}]}, 404, "not-found", "images.sha256"),
        ({"prompts": [{"question": "?", "images": [{"data": "%%%"}]}]}, 422, "invalid-image", "images.data"),
        ({"prompts": [{"question": "?", "images": [{"data": "AAAA"}]}]}, 415, "unsupported-image", "images"),
        ({"prompts": [{"question": "?", "images": [{"url": "http://a/b.png"}]}]}, 422, "invalid-input", None),
        ({"prompts": [{"question": "?", "images": [{"data": DATA}], "n": 101}]}, 413, "too-large", "prompts"),
        ({"prompts": [{"question": "?", "images": [{"data": DATA}], "temperature": 2.1}]}, 422, "invalid-input", None),
        ({"prompts": [{"question": "\ud800", "images": [{"data": DATA}]}]}, 422, "invalid-input", "body"),
    ],
)
def test_bad_rollouts_are_problems(
    app: FastAPI, change: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    response = ask(app, "POST", "/v1/rollouts", content=json.dumps(body() | change), headers=JSON)
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, response.json()["code"]) == (status, code)
    if field is not None:
        assert response.json()["field"] == field


@pytest.mark.parametrize("path", ["/v1/rollouts", "/v1/chat/completions"])
@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{", b"\x00\xff", b'{"prompts": 1}', b"[" * 50_000])
def test_garbage_is_a_problem(app: FastAPI, path: str, content: bytes) -> None:
    response = ask(app, "POST", path, content=content, headers=JSON)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code in (400, 422)


def test_requests_beyond_the_bound_are_told_to_wait(app: FastAPI, engine: FakeEngine) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        item = body()["prompts"][0]
        async with engine.turn:
            waiting = asyncio.ensure_future(client.post("/v1/rollouts", json=body(prompts=[item | {"n": 90}])))
            while "mstar_policy_rows 90.0" not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.01)
            refused = await client.post("/v1/rollouts", json=body(prompts=[item | {"n": 20}]))
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert (await waiting).status_code == 200
        assert (await client.post("/v1/rollouts", json=body(prompts=[item | {"n": 20}]))).status_code == 200

    talk(app, conversation)


def test_a_full_service_refuses_before_it_reads(app: FastAPI, engine: FakeEngine) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        item = body()["prompts"][0]
        async with engine.turn:
            waiting = asyncio.ensure_future(client.post("/v1/rollouts", json=body(prompts=[item | {"n": 100}])))
            while "mstar_policy_rows 100.0" not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.01)
            for path in ("/v1/rollouts", "/v1/chat/completions"):
                refused = await client.post(path, content=b"{", headers=JSON)
                assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
            assert (await client.get("/v1/models")).status_code == 200
        assert (await waiting).status_code == 200

    talk(app, conversation)


def test_a_caller_who_leaves_is_not_worked_for(app: FastAPI, engine: FakeEngine) -> None:
    async def leaves() -> None:
        async with app.router.lifespan_context(app), engine.turn:
            await post_and_leave(app, "/v1/rollouts", json.dumps(body()).encode())

    asyncio.run(leaves())
    assert engine.generated == 0


def test_models_are_the_policy_and_its_version(app: FastAPI, warm: ArtefactRef) -> None:
    models = ask(app, "GET", "/v1/models").json()["data"]
    assert [model["id"] for model in models] == ["mstar-policy", warm.version]
    for model in models:
        assert ask(app, "GET", f"/v1/models/{model['id']}").json() == model
        assert ask(app, "POST", "/v1/chat/completions", json=chat(model=model["id"])).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/responses"),
        ("GET", "/v1/responses/resp_1"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/fine_tuning/jobs"),
    ],
)
def test_routes_of_openai_that_are_missing_say_what_there_is(app: FastAPI, method: str, path: str) -> None:
    answer = ask(app, method, path, json={})
    assert answer.status_code == 404
    assert f"{path} is not offered here: use POST /v1/chat/completions" in answer.json()["error"]["message"]


RULES = (
    ("/metrics", ".*", {"metrics", "internal"}),
    ("/v1/weights", "PUT", {"weights_admin"}),
    ("/v1/weights", ".*", {"weights_admin", "internal"}),
    ("/v1/.*", ".*", {"internal"}),
    # Documentation, in which nothing is secret, is for every role but the scraper's.
    (".*", ".*", {"weights_admin", "internal"}),
)


def test_every_route_is_for_its_roles_and_for_nobody_without_a_key(store: ArtefactStore, engine: FakeEngine) -> None:
    keys = {"internal": "k", "weights_admin": "w", "metrics": "m"}
    settings = {f"{role}_key": SecretStr(key) for role, key in keys.items()}
    app = build_app(PolicySettings(home=store.root, **settings), engine)
    assert check_table(app, keys, RULES) >= 8


def test_a_folder_in_the_settings_is_served_from_the_start(store: ArtefactStore, warm: ArtefactRef) -> None:
    settings = PolicySettings(home=store.root, model=store.path(warm.id) / "model")
    app = build_app(settings, FakeEngine(store))

    async def conversation(client: httpx2.AsyncClient) -> str:
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.01)
        return str((await client.get("/v1/weights")).json()["weight_version"])

    assert talk(app, conversation).startswith("model@")


class UnableEngine(FakeEngine):
    """One that no folder can be loaded into, for a reason of its own."""

    async def load_folder(self, folder: Path) -> None:
        raise RuntimeError("no driver")


def test_a_folder_that_cannot_be_loaded_is_logged_and_leaves_the_service_up(
    store: ArtefactStore, warm: ArtefactRef, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("policy")
    app = build_app(PolicySettings(home=store.root, model=store.path(warm.id) / "model"), UnableEngine(store))

    async def conversation(client: httpx2.AsyncClient) -> tuple[int, int, int]:
        update = {"artefact": warm.id, "manifest_sha256": warm.sha256}
        before = (await client.get("/readyz")).status_code
        put = (await client.put("/v1/weights", json=update)).status_code
        return before, put, (await client.get("/readyz")).status_code

    assert talk(app, conversation) == (503, 200, 200)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (told,) = [line for line in lines if line["event"] == "model of the settings not loaded"]
    assert told["level"] == "error" and "RuntimeError: no driver" in told["exception"]


@pytest.mark.parametrize(
    ("asked", "gpu", "vllm_installed", "chosen"),
    [
        ("auto", False, False, "transformers"),
        ("auto", False, True, "transformers"),
        ("auto", True, False, "transformers"),
        ("auto", True, True, "vllm"),
        ("transformers", True, True, "transformers"),
        ("transformers", False, False, "transformers"),
        ("vllm", False, True, "vllm"),
        ("vllm", True, True, "vllm"),
        # What is asked for is never replaced: the engine says itself what is missing.
        ("vllm", True, False, "vllm"),
        ("vllm", False, False, "vllm"),
    ],
)
def test_the_engine_is_the_one_asked_for_or_the_faster_one(
    asked: EngineChoice, gpu: bool, vllm_installed: bool, chosen: str
) -> None:
    assert choose_engine(asked, gpu=gpu, vllm_installed=vllm_installed) == chosen


def test_an_empty_model_name_stands_for_nothing_before_the_first_load() -> None:
    with pytest.raises(ModelNotFound, match="send mstar-policy"):
        require_model("", loaded="")
