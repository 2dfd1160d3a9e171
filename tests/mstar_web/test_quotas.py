"""Limits of keys: what is refused, for how long, and before anything of the body is read."""

import asyncio
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from mstar.api.keys import Limits, Principal, Role
from mstar_web.app import base_app
from mstar_web.auth import BearerAuth
from mstar_web.quotas import KeyLimits, spend, tokens_are_limited
from web_bench import HouseSettings, ask, talk

KEYS = {name: f"mstar_{'a' * 12}_{name * 43}" for name in "xy"}


class Ring:
    """Two keys with the same limits."""

    def __init__(self, **limits: int) -> None:
        self.limits = Limits(**limits)

    async def find(self, key: str) -> Principal | None:
        name = next((name for name, one in KEYS.items() if one == key), None)
        return name and Principal(name=name, id=name, roles=frozenset({Role.SCORE}), limits=self.limits)

    async def close(self) -> None:
        pass


def app(**limits: int) -> FastAPI:
    settings = HouseSettings(internal_key=SecretStr("in"), score_key=SecretStr("out"))
    made = base_app("bench", "1", settings, lambda: None, keyring=Ring(**limits))

    @made.post("/work")
    async def work(body: dict[str, int]) -> bool:
        spend(images=body.get("images", 0), megapixels=body.get("megapixels", 0), tokens=body.get("tokens", 0))
        await asyncio.sleep(body.get("seconds", 0))
        return tokens_are_limited()

    return made


async def post(client: httpx2.AsyncClient, key: str = KEYS["x"], **body: int) -> httpx2.Response:
    return await client.post("/work", json=body, headers={"authorization": f"Bearer {key}"})


def test_requests_beyond_the_limit_are_refused_with_when_to_come_back() -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        first = await post(client)
        assert first.headers["ratelimit-policy"] == '"requests";q=2;w=60'
        assert first.headers["ratelimit"] == '"requests";r=1;t=30'
        assert (await post(client)).status_code == 200
        refused = await post(client)
        assert (refused.status_code, refused.json()["code"]) == (429, "too-many-requests")
        assert 0 < int(refused.headers["retry-after"]) <= 30
        assert refused.headers["ratelimit"].startswith('"requests";r=0')
        # Another key, and a bootstrap key, have their own.
        assert (await post(client, KEYS["y"])).status_code == 200
        for _ in range(5):
            answer = await post(client, "out")
            assert answer.status_code == 200 and "ratelimit" not in answer.headers

    talk(app(requests_per_minute=2), conversation)


@pytest.mark.parametrize("name", ["images", "megapixels", "tokens"])
def test_who_has_used_too_much_waits(name: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        assert (await post(client, **{name: 150})).status_code == 200
        refused = await post(client)
        assert refused.status_code == 429 and name in refused.json()["detail"]
        # 50 beyond 100 a minute are paid off in half a minute.
        assert 29 <= int(refused.headers["retry-after"]) <= 31

    talk(app(**{f"{name}_per_minute": 100}), conversation)


def test_requests_under_way_are_bounded_and_give_their_place_back() -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        answers = await asyncio.gather(*(post(client, seconds=1) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429]
        assert (await post(client)).status_code == 200
        refused = await client.post("/work", content="{", headers={"authorization": f"Bearer {KEYS['x']}"})
        assert refused.status_code == 422
        assert (await post(client)).status_code == 200

    talk(app(concurrent=2), conversation)


def test_a_refusal_reads_nothing_of_the_body() -> None:
    read = 0

    async def conversation() -> int:
        settings = {"keys": {"score": "out"}, "keyring": Ring(requests_per_minute=1)}
        status = 0

        async def inner(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async def receive() -> Any:
            nonlocal read
            read += 1
            return {"type": "http.request"}

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)

        stack = BearerAuth(KeyLimits(inner), **settings)
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/work",
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {KEYS['x']}".encode())],
        }
        for _ in range(2):
            await stack(dict(scope), receive, send)
        return status

    assert asyncio.run(conversation()) == 429 and read == 0


def test_a_key_without_a_limit_on_tokens_has_none_counted() -> None:
    headers = {"authorization": f"Bearer {KEYS['x']}"}
    assert ask(app(concurrent=2), "POST", "/work", json={}, headers=headers).json() is False
    assert ask(app(tokens_per_minute=2), "POST", "/work", json={}, headers=headers).json() is True
