"""Tests of the weights routes over a holder that takes as long as it is told."""

import asyncio

import httpx2
from fastapi import FastAPI

from mstar.api.policy import WeightsState
from mstar.errors import CorruptArtefact
from mstar.steps import ArtefactRef
from mstar_web.app import base_app
from mstar_web.weights import weights_router
from web_bench import BenchSettings, ask, talk

GOOD = {"artefact": "r1/warm/train", "manifest_sha256": "a" * 64}
OTHER = {"artefact": "r1/it01/train", "manifest_sha256": "b" * 64}
BROKEN = {"artefact": "broken", "manifest_sha256": "c" * 64}


class SlowHolder:
    """Loads when `gate` is open; refuses the artefact named `broken`."""

    def __init__(self) -> None:
        self.version = ""
        self.loads = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def weights(self) -> WeightsState:
        return WeightsState(weight_version=self.version, ready=bool(self.version), model="small", checksum="5" * 64)

    async def sleep(self) -> None:
        await self.gate.wait()
        self.version = ""

    async def load(self, ref: ArtefactRef) -> None:
        await self.gate.wait()
        if ref.id == "broken":
            raise CorruptArtefact("file model.safetensors does not match its manifest")
        self.loads += 1
        self.version = ref.version


def app_with(holder: SlowHolder) -> FastAPI:
    app = base_app("bench", "1", BenchSettings(), not_ready=lambda: None)
    app.include_router(weights_router(holder))
    return app


def test_a_version_is_loaded_once() -> None:
    holder = SlowHolder()

    async def twice(client: httpx2.AsyncClient) -> list[httpx2.Response]:
        return [await client.put("/v1/weights", json=GOOD) for _ in range(2)]

    for response in talk(app_with(holder), twice):
        version = f"r1/warm/train@{'a' * 12}"
        told = {"weight_version": version, "ready": True, "model": "small", "checksum": "5" * 64}
        assert told.items() <= response.json().items()
    assert holder.loads == 1


def test_a_failed_load_keeps_the_old_version() -> None:
    holder = SlowHolder()

    async def conversation(client: httpx2.AsyncClient) -> None:
        await client.put("/v1/weights", json=GOOD)
        assert (await client.put("/v1/weights", json=BROKEN)).json()["code"] == "corrupt-artefact"
        assert (await client.get("/v1/weights")).json()["weight_version"].startswith("r1/warm/train@")
        assert (await client.put("/v1/weights", json=OTHER)).status_code == 200

    talk(app_with(holder), conversation)


def test_two_updates_at_once() -> None:
    holder = SlowHolder()

    async def conversation(client: httpx2.AsyncClient) -> None:
        holder.gate.clear()
        first = asyncio.ensure_future(client.put("/v1/weights", json=GOOD))
        await asyncio.sleep(0.05)
        same = asyncio.ensure_future(client.put("/v1/weights", json=GOOD))
        assert (await client.put("/v1/weights", json=OTHER)).status_code == 409
        holder.gate.set()
        assert (await first).status_code == (await same).status_code == 200
        assert holder.loads == 1

    talk(app_with(holder), conversation)


def test_an_update_needs_the_manifest_hash() -> None:
    response = ask(app_with(SlowHolder()), "PUT", "/v1/weights", json={"artefact": "x", "manifest_sha256": "0"})
    assert (response.status_code, response.json()["field"]) == (422, "manifest_sha256")


def test_a_service_that_sleeps_takes_no_weights_until_it_is_woken() -> None:
    holder = SlowHolder()

    async def conversation(client: httpx2.AsyncClient) -> None:
        await client.put("/v1/weights", json=GOOD)
        assert (await client.get("/v1/power")).json() == {"awake": True}
        assert (await client.put("/v1/power", json={"awake": False})).json() == {"awake": False}
        assert (await client.get("/v1/weights")).json()["weight_version"] == ""
        refused = await client.put("/v1/weights", json=GOOD)
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0
        assert (await client.put("/v1/power", json={"awake": False})).status_code == 200, "twice is once"
        assert (await client.put("/v1/power", json={"awake": True})).json()["awake"]
        assert (await client.put("/v1/weights", json=GOOD)).json()["ready"]

    talk(app_with(holder), conversation)
    assert holder.loads == 2


def test_a_sleep_waits_for_a_load_and_keeps_later_ones_out() -> None:
    holder = SlowHolder()

    async def conversation(client: httpx2.AsyncClient) -> list[int]:
        holder.gate.clear()
        first = asyncio.ensure_future(client.put("/v1/weights", json=GOOD))
        await asyncio.sleep(0.05)
        sleep = asyncio.ensure_future(client.put("/v1/power", json={"awake": False}))
        await asyncio.sleep(0.05)
        late = asyncio.ensure_future(client.put("/v1/weights", json=GOOD))
        await asyncio.sleep(0.05)
        holder.gate.set()
        return [(await answer).status_code for answer in (first, sleep, late)]

    assert talk(app_with(holder), conversation) == [200, 200, 503]
    assert holder.version == ""
