"""Weights that were trained answer the probe in both services; stale ones fail the push, and nothing is served then."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch

from mstar.steps import ArtefactRef
from mstar_artefacts.storage import storage_of
from mstar_models.probing import PLACES, read_probe
from mstar_policy import app as policy_app
from mstar_policy.config import PolicySettings
from mstar_policy.hf_engine import HfEngine
from mstar_prm import app as prm_app
from mstar_prm.config import PrmSettings
from mstar_prm.hf_scorer import HfScorer
from mstar_trainer.resident import ResidentTrainer
from trainer_bench import GENTLE, Bench
from web_bench import talk

STRONG = GENTLE.model_copy(update={"learning_rate": 1e-3, "epochs": 2})


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A home with a base model, which has no probe, and a checkpoint of the policy and of the PRM."""
    torch.set_num_threads(1)
    bench = Bench(tmp_path_factory.mktemp("probes"))
    bench.put_rows("select", bench.selected(8))
    bench.put_rows("collect", bench.labelled(8))
    trainer = ResidentTrainer(bench.home, threads=1)
    try:
        for name, rows, parent, objective in (
            ("policy", "select", "prepare", "sft"),
            ("prm", "collect", "prepare", "prm"),
        ):
            claim = bench.claim(name, rows, parent, settings=STRONG, carry=False, objective=objective)  # type: ignore[arg-type]
            done = trainer.train(claim, 1, lambda done, total: None, lambda: pytest.fail("all inputs are there"))
            bench.inputs[name] = done.artefact
        yield bench
    finally:
        trainer.close()


class StaleEngine(HfEngine):
    """Takes the name of new weights and goes on with the first ones, as caches that nobody drops would."""

    def _serve(self, model: Any, folder: Path, version: str) -> None:
        super()._serve(model if self._loaded is None else self._loaded.decoder.model, folder, version)


class StaleScorer(HfScorer):
    """The same for step scores."""

    first: Any = None

    def _serve(self, version: str, model: Any, scheme: Any) -> Any:
        self.first = self.first or model
        return super()._serve(version, self.first, scheme)


def update(ref: ArtefactRef) -> dict[str, str]:
    return {"artefact": ref.id, "manifest_sha256": ref.sha256}


async def push(client: httpx2.AsyncClient, ref: ArtefactRef) -> httpx2.Response:
    return await client.put("/v1/weights", json=update(ref))


def test_a_checkpoint_carries_what_its_weights_say(bench: Bench) -> None:
    store = storage_of(bench.home).artefacts()
    assert read_probe(store, bench.inputs["prepare"]) is None
    policy, prm = (read_probe(store, bench.inputs[name]) for name in ("policy", "prm"))
    assert policy is not None and prm is not None
    assert [len(place.before) for place in policy.places] == list(range(PLACES))
    assert len(prm.scores) == 3


def test_trained_weights_pass_in_the_policy_and_stale_ones_do_not(bench: Bench) -> None:
    settings = PolicySettings(home=bench.home)
    store = settings.storage().artefacts()

    async def scene(client: httpx2.AsyncClient) -> None:
        for name in ("policy", "prepare", "policy"):
            reply = await push(client, bench.inputs[name])
            assert reply.status_code == 200, reply.text
            assert reply.json()["ready"] and reply.json()["dtype"] == "float32"

    talk(policy_app.build_app(settings, HfEngine(store, threads=1)), scene)

    async def stale(client: httpx2.AsyncClient) -> None:
        assert (await push(client, bench.inputs["prepare"])).status_code == 200
        reply = await push(client, bench.inputs["policy"])
        assert reply.status_code == 500
        assert reply.json()["code"] == "probe-failed"
        assert "they differ by" in reply.json()["detail"]
        assert not (await client.get("/v1/weights")).json()["ready"]

    talk(policy_app.build_app(settings, StaleEngine(store, threads=1)), stale)


def test_trained_weights_pass_in_the_prm_and_stale_ones_do_not(bench: Bench) -> None:
    settings = PrmSettings(home=bench.home)

    def scorer(kind: type[HfScorer]) -> HfScorer:
        return kind(settings.storage(), batch_tokens=2048, waiting_tokens=100_000)

    async def scene(client: httpx2.AsyncClient) -> None:
        for name in ("prm", "prepare", "prm"):
            reply = await push(client, bench.inputs[name])
            assert reply.status_code == 200, reply.text

    talk(prm_app.build_app(settings, scorer(HfScorer)), scene)

    async def stale(client: httpx2.AsyncClient) -> None:
        assert (await push(client, bench.inputs["prepare"])).status_code == 200
        reply = await push(client, bench.inputs["prm"])
        assert (reply.status_code, reply.json()["code"]) == (500, "probe-failed")
        assert not (await client.get("/v1/weights")).json()["ready"]

    talk(prm_app.build_app(settings, scorer(StaleScorer)), stale)
