"""The PRM's app: weights, readiness, keys and metrics, and once the whole path with the real scorer."""

import asyncio
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from mstar.api.prm import ScoreReply
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_prm.app import build_app
from mstar_prm.config import PrmSettings
from mstar_prm.hf_scorer import HfScorer
from policy_bench import corrupt
from reading_scorer import ReadingScorer, body
from refused_weights import check_refused_weights
from route_table import check_table
from web_bench import ask, talk


def test_without_the_model_of_its_settings_it_stays_up_and_takes_another(
    store: ArtefactStore, prm: ArtefactRef, tmp_path: Path
) -> None:
    settings = PrmSettings(home=store.root, model=tmp_path / "empty")
    app = build_app(settings, HfScorer(store.root, batch_tokens=4096, waiting_tokens=8192))

    async def conversation(client: httpx2.AsyncClient) -> None:
        while "being loaded" in (refused := await client.get("/readyz")).text:
            await asyncio.sleep(0.01)
        assert refused.status_code == 503 and "is not loaded: " in refused.json()["detail"]
        assert (await client.get("/livez")).status_code == 200
        update = {"artefact": prm.id, "manifest_sha256": prm.sha256}
        assert (await client.put("/v1/weights", json=update)).status_code == 200
        assert (await client.get("/readyz")).status_code == 200

    talk(app, conversation)


def test_it_is_alive_before_it_is_ready(tmp_path: Path) -> None:
    app = build_app(PrmSettings(home=tmp_path), ReadingScorer())

    async def conversation(client: httpx2.AsyncClient) -> None:
        assert (await client.get("/livez")).status_code == 200
        waiting = await client.get("/readyz")
        assert (waiting.status_code, waiting.json()["code"]) == (503, "unavailable")
        assert (await client.get("/v1/models")).json()["data"] == []
        refused = await client.post("/v1/score", json=body())
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        await client.put("/v1/weights", json={"artefact": "r1/prm/train", "manifest_sha256": "a" * 64})
        assert (await client.get("/readyz")).status_code == 200
        models = (await client.get("/v1/models")).json()["data"]
        assert [(one["id"], one["weight_version"]) for one in models] == [("r1/prm/train", "r1/prm/train@aaaaaaaaaaaa")]

    talk(app, conversation)


@pytest.mark.parametrize(
    ("key", "statuses"),
    [("s", (200, 200, 403, 403)), ("i", (200, 200, 200, 403)), ("w", (403, 403, 200, 200)), ("x", (401,) * 4)],
)
def test_each_role_opens_its_own_routes(
    tmp_path: Path, scorer: ReadingScorer, key: str, statuses: tuple[int, ...]
) -> None:
    app = build_app(locked(tmp_path), scorer)
    update = {"artefact": "r1/prm/train", "manifest_sha256": "a" * 64}

    async def conversation(client: httpx2.AsyncClient) -> tuple[int, ...]:
        answers = (
            await client.post("/v1/score", json=body()),
            await client.post("/v1/rerank", json=body()),
            await client.get("/v1/weights"),
            await client.put("/v1/weights", json=update),
        )
        return tuple(answer.status_code for answer in answers)

    assert talk(app, conversation, headers={"Authorization": f"Bearer {key}"}) == statuses


RULES = (
    ("/metrics", ".*", {"metrics", "internal"}),
    ("/v1/weights", "PUT", {"weights_admin"}),
    ("/v1/weights", ".*", {"weights_admin", "internal"}),
    ("/v1/power", ".*", {"internal"}),
    (".*", ".*", {"score", "internal"}),
)


def test_every_route_is_for_its_roles_and_for_nobody_without_a_key(tmp_path: Path, scorer: ReadingScorer) -> None:
    app = build_app(locked(tmp_path), scorer)
    keys = {"score": "s", "internal": "i", "weights_admin": "w", "metrics": "m"}
    assert check_table(app, keys, RULES) >= 15


def locked(home: Path) -> PrmSettings:
    return PrmSettings(
        home=home,
        score_key=SecretStr("s"),
        internal_key=SecretStr("i"),
        weights_admin_key=SecretStr("w"),
        metrics_key=SecretStr("m"),
    )


def test_the_whole_path_with_the_real_scorer(store: ArtefactStore, prm: ArtefactRef, newer: ArtefactRef) -> None:
    corrupt(store, newer)
    app = build_app(PrmSettings(home=store.root), HfScorer(store.root, batch_tokens=4096, waiting_tokens=100_000))

    async def conversation(client: httpx2.AsyncClient) -> None:
        update = {"artefact": prm.id, "manifest_sha256": prm.sha256}
        assert (await client.put("/v1/weights", json=update)).json()["weight_version"] == prm.version
        first = ScoreReply.model_validate_json((await client.post("/v1/score", json=body())).content)
        assert first.model_version == prm.version
        assert all(one.score == min(step.score for step in one.steps[:-1]) for one in first.results)
        bad = await client.put("/v1/weights", json={"artefact": newer.id, "manifest_sha256": newer.sha256})
        assert (bad.status_code, bad.json()["code"]) == (500, "corrupt-artefact")
        again = ScoreReply.model_validate_json((await client.post("/v1/score", json=body())).content)
        assert again == first

    talk(app, conversation)


def test_weights_that_cannot_be_meant_are_the_callers_fault_and_the_old_ones_stay(
    store: ArtefactStore, prm: ArtefactRef
) -> None:
    scorer = HfScorer(store.root, batch_tokens=4096, waiting_tokens=100_000)
    check_refused_weights(build_app(PrmSettings(home=store.root), scorer), store, prm)


def test_counted_work_is_told_to_prometheus() -> None:
    scorer = ReadingScorer("v@1")
    scorer.work.tokens, scorer.work.known_prompts = 120, 3
    told = ask(build_app(PrmSettings(), scorer), "GET", "/metrics").text
    assert 'mstar_prm_work_total{kind="tokens"} 120.0' in told
    assert 'mstar_prm_work_total{kind="known_prompts"} 3.0' in told
