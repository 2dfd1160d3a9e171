"""A coordinator with batches before a PRM on a socket, which answers as a test says."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from coordinator_bench import HandClock, MemoryPublisher, lay_tables
from door_bench import bearer
from mstar_coordinator.api.app import build_app
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.store.database import open_store

ENDED = ("completed", "cancelled", "expired", "failed")
ANY = bearer("none")


class Prm:
    """Answers as a PRM would, unless a test says otherwise for a question."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.other: dict[str, Callable[[int], tuple[int, dict[str, Any], dict[str, str]]]] = {}
        """Question → status, body and headers, by how often it was asked before."""
        self.seconds = 0.0
        self.app = FastAPI()
        for path in ("/v1/score", "/v1/rerank"):
            self.app.add_api_route(path, self._answer, methods=["POST"])

    async def _answer(self, request: Request) -> JSONResponse:
        question = (await request.json())["question"]
        before = self.asked.count(question)
        self.asked.append(question)
        began = time.monotonic()
        while time.monotonic() - began < self.seconds:
            await asyncio.sleep(0.02)
        if question in self.other:
            status, body, headers = self.other[question](before)
            return JSONResponse(body, status, headers)
        return JSONResponse({"model_version": "p@1", "aggregation": "min", "results": []})


def coordinator(home: Path, url: str, clock: HandClock | None = None) -> FastAPI:
    settings = CoordinatorSettings(broker_url="redis://unused", home=home, data_root=home, prm_url=url)
    clock = clock or HandClock()
    lay_tables(home)
    return build_app(settings, open_store(settings.store_url(), clock.wall), MemoryPublisher(), clock)


def lines(*questions: str, url: str = "/v1/score") -> bytes:
    rows = [
        {"custom_id": f"q-{one}", "method": "POST", "url": url, "body": {"question": one, "responses": [{"text": "x"}]}}
        for one in questions
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def upload(client: httpx2.AsyncClient, content: bytes, key: dict[str, str] = ANY) -> httpx2.Response:
    # What the bench declares for every request would hide the form's own boundary.
    client.headers.pop("content-type", None)
    form = {"file": ("../../etc/x.jsonl", content)}
    answer = await client.post("/v1/files", files=form, data={"purpose": "batch"}, headers=key)
    client.headers["content-type"] = "application/json"
    return answer


async def begin(client: httpx2.AsyncClient, content: bytes, key: dict[str, str] = ANY, **more: Any) -> httpx2.Response:
    file = await upload(client, content, key)
    assert file.status_code == 200, file.text
    body = {"input_file_id": file.json()["id"], "endpoint": "/v1/score", **more}
    return await client.post("/v1/batches", json=body, headers=key)


async def ended(client: httpx2.AsyncClient, batch_id: str, key: dict[str, str] = ANY) -> dict[str, Any]:
    for _ in range(600):
        batch = (await client.get(f"/v1/batches/{batch_id}", headers=key)).json()
        if batch["status"] in ENDED:
            return dict(batch)
        await asyncio.sleep(0.05)
    raise AssertionError(batch)


async def rows(client: httpx2.AsyncClient, file_id: str) -> list[dict[str, Any]]:
    content = await client.get(f"/v1/files/{file_id}/content")
    return [json.loads(line) for line in content.text.splitlines()]
