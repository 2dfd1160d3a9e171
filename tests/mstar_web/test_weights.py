"""Tests of the weights routes over a holder that takes as long as it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from mstar.api.policy import WeightsState
from mstar.errors import CorruptArtefact, InvalidInput
from mstar.gpu_memory import GpuMemory
from mstar.steps import ArtefactRef
from mstar_web.app import base_app
from mstar_web.loads import Loads
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

    async def load_folder(self, folder: Path) -> None:
        await self.gate.wait()
        if folder.name == "broken":
            raise InvalidInput("broken holds no config.json", field="model")
        if folder.name == "driverless":
            raise RuntimeError("no driver")
        self.version = f"{folder.name}@1"


def app_with(holder: SlowHolder, folder: str | None = None) -> FastAPI:
    loads = Loads(holder)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with loads.first(None if folder is None else Path(folder)):
            yield

    app = base_app("bench", "1", BenchSettings(), loads.not_ready, lifespan)
    app.include_router(weights_router(loads))
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


def test_what_is_loaded_is_told_with_the_memory_of_the_gpus() -> None:
    app = base_app("bench", "1", BenchSettings(), lambda: None)
    app.include_router(weights_router(Loads(SlowHolder()), lambda: GpuMemory(used=3, total=4)))

    async def read(client: httpx2.AsyncClient) -> httpx2.Response:
        return await client.get("/v1/weights")

    assert talk(app, read).json()["gpu_memory"] == {"used": 3, "total": 4}
    assert talk(app_with(SlowHolder()), read).json()["gpu_memory"] is None, "there is no GPU here"


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


def test_of_two_versions_that_wait_for_a_sleep_to_end_only_the_first_is_loaded() -> None:
    holder = SlowHolder()

    async def conversation(client: httpx2.AsyncClient) -> list[int]:
        await client.put("/v1/weights", json=GOOD)
        holder.gate.clear()
        sleep = asyncio.ensure_future(client.put("/v1/power", json={"awake": False}))
        await asyncio.sleep(0.05)
        wake = asyncio.ensure_future(client.put("/v1/power", json={"awake": True}))
        await asyncio.sleep(0.05)
        first, second = (asyncio.ensure_future(client.put("/v1/weights", json=one)) for one in (GOOD, OTHER))
        await asyncio.sleep(0.05)
        holder.gate.set()
        return [(await answer).status_code for answer in (sleep, wake, first, second)]

    assert talk(app_with(holder), conversation) == [200, 200, 200, 409]
    assert holder.version.startswith("r1/warm/train@")


@pytest.mark.parametrize(
    ("folder", "reason"),
    [("broken", "broken holds no config.json"), ("driverless", "the log of this service says why")],
)
def test_without_the_model_of_its_settings_a_service_stays_up_and_says_why(folder: str, reason: str) -> None:
    holder = SlowHolder()

    async def conversation(client: httpx2.AsyncClient) -> None:
        holder.gate.clear()
        assert (await client.get("/readyz")).json()["detail"] == f"{folder} is being loaded"
        holder.gate.set()
        while "being loaded" in (refused := await client.get("/readyz")).text:
            await asyncio.sleep(0.01)
        assert refused.status_code == 503
        assert refused.json()["detail"] == f"the model of the settings is not loaded: {reason}"
        assert (await client.put("/v1/weights", json=GOOD)).status_code == 200
        assert (await client.get("/readyz")).status_code == 200

    talk(app_with(holder, folder), conversation)


def test_weights_that_are_put_while_the_model_of_the_settings_loads_come_after_it() -> None:
    holder = SlowHolder()

    async def conversation(client: httpx2.AsyncClient) -> None:
        holder.gate.clear()
        put = asyncio.ensure_future(client.put("/v1/weights", json=GOOD))
        await asyncio.sleep(0.05)
        assert not put.done()
        holder.gate.set()
        assert (await put).json()["weight_version"].startswith("r1/warm/train@")

    talk(app_with(holder, "small"), conversation)
    assert holder.version.startswith("r1/warm/train@")


def test_a_service_stops_while_the_model_of_its_settings_loads() -> None:
    holder = SlowHolder()

    async def conversation(client: httpx2.AsyncClient) -> int:
        holder.gate.clear()
        return (await client.get("/readyz")).status_code

    assert talk(app_with(holder, "small"), conversation) == 503
    assert holder.version == ""


def test_before_the_first_load_a_service_says_how_to_come_by_one() -> None:
    refused = ask(app_with(SlowHolder()), "GET", "/readyz")
    assert refused.status_code == 503 and "`mstar serve RUN`" in refused.json()["detail"]
