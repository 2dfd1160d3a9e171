"""What a revoked key or an ended session leaves open: downloads break off, work of the project goes on."""

import asyncio
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from batch_bench import Prm, begin, ended, lines, upload
from door_bench import bearer, door, make_key
from mstar_coordinator.access.open_answers import EndsWithItsKey
from web_bench import serving, talk

BYTES = 24 * 2**20
"""More than sockets hold between them, so that most of it is not sent before it is read."""


@pytest.mark.parametrize("by", ["key", "session"])
@pytest.mark.parametrize("ends", [True, False])
def test_a_download_ends_with_the_key_or_session_that_asked_for_it(tmp_path: Path, by: str, ends: bool) -> None:
    app = door(tmp_path, prm_url="http://127.0.0.1:9", score_key=SecretStr("k-score"))
    app.add_middleware(EndsWithItsKey, watched=app.state.context.door.watched, seconds=0.0)

    async def conversation(url: str) -> int:
        async with httpx2.AsyncClient(base_url=url, headers={"content-type": "application/json"}) as client:
            made = await make_key(client, "score")
            file = (await upload(client, bytes(BYTES), bearer(made.key))).json()["id"]
            headers = bearer(made.key)
            if by == "session":
                await client.post("/v1/session/sign-in", json={"key": made.key})
                headers = {}
            read = 0
            async with client.stream("GET", f"/v1/files/{file}/content", headers=headers) as answer:
                assert answer.status_code == 200
                async for piece in answer.aiter_bytes():
                    if not read and ends:
                        await client.post(f"/v1/keys/{made.id}/revoke", headers=bearer("k-run"))
                    read += len(piece)
            return read

    with serving(app) as url:
        if not ends:
            assert asyncio.run(conversation(url)) == BYTES
            return
        with pytest.raises(httpx2.RemoteProtocolError):
            asyncio.run(conversation(url))


def test_a_batch_goes_on_when_the_key_that_began_it_is_revoked(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    prm.seconds = 0.05
    app = door(tmp_path, prm_url=prm_url, score_key=SecretStr("k-score"))

    async def conversation(client: httpx2.AsyncClient) -> None:
        first, second = [await make_key(client, "score", project="blue") for _ in range(2)]
        batch = (await begin(client, lines("one", "two", "three"), bearer(first.key))).json()["id"]
        await client.post(f"/v1/keys/{first.id}/revoke", headers=bearer("k-run"))
        assert (await client.get(f"/v1/batches/{batch}", headers=bearer(first.key))).status_code == 401
        done = await ended(client, batch, bearer(second.key))
        assert (done["status"], done["request_counts"]["completed"]) == ("completed", 3)

    talk(app, conversation)
