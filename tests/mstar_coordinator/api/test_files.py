"""Files for batches over their routes: what is refused, what stays, and what a crash leaves."""

from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from batch_bench import ANY, Prm, begin, coordinator, lines, upload
from door_bench import bearer, door, make_key
from web_bench import talk


@pytest.mark.parametrize(
    ("content", "field", "said"),
    [
        (b"", "input_file_id", "no requests"),
        (lines("one", "one"), "input_file_id", "line 2: custom_id"),
        (lines("one", url="/v1/rerank"), "input_file_id", "line 1: url"),
    ],
)
def test_a_bad_file_is_refused_before_anything_is_asked(
    tmp_path: Path, prm: Prm, prm_url: str, content: bytes, field: str, said: str
) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        answer = await begin(client, content)
        assert answer.status_code == 422 and answer.json()["field"] == field and said in answer.json()["detail"]
        assert (await client.get("/v1/batches")).json()["data"] == []

    talk(coordinator(tmp_path, prm_url), conversation)
    assert prm.asked == []


def test_bad_uploads_are_refused(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        form = {"file": ("x.jsonl", lines("one"))}
        client.headers.pop("content-type")
        # A page of another site can send a form, but no header of its own.
        assert (await client.post("/v1/files", files=form, data={"purpose": "batch"})).status_code == 415
        assert (await client.post("/v1/files", json={}, headers=ANY)).status_code == 415
        for data, files in (({"purpose": "fine-tune"}, form), ({}, form), ({"purpose": "batch", "file": "x"}, None)):
            answer = await client.post("/v1/files", files=files or {"other": b""}, data=data, headers=ANY)
            assert answer.status_code == 422, answer.text
        broken = {**ANY, "content-type": "multipart/form-data"}
        assert (await client.post("/v1/files", content=b"x", headers=broken)).status_code == 422
        assert (await client.get("/v1/files")).json()["data"] == []

    talk(coordinator(tmp_path, "http://127.0.0.1:9"), conversation)
    assert not (tmp_path / ".mstar" / "files").exists()


def test_a_file_in_use_stays_and_a_retry_begins_nothing_new(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        once = {**ANY, "idempotency-key": "k"}
        file = (await upload(client, lines("one"))).json()
        assert file["filename"] == "../../etc/x.jsonl"
        body = {"input_file_id": file["id"], "endpoint": "/v1/score"}
        first, second = [(await client.post("/v1/batches", json=body, headers=once)).json() for _ in range(2)]
        assert first == second and len((await client.get("/v1/batches")).json()["data"]) == 1
        assert (await client.delete(f"/v1/files/{file['id']}")).status_code == 409
        part = await client.get(f"/v1/files/{file['id']}/content", headers={"range": "bytes=0-3"})
        assert (part.status_code, part.content) == (206, lines("one")[:4])

    # Nobody is at that address, so the batch waits.
    talk(coordinator(tmp_path, "http://127.0.0.1:9"), conversation)


def test_what_a_crash_has_left_of_an_upload_is_removed(tmp_path: Path, prm_url: str) -> None:
    async def uploaded(client: httpx2.AsyncClient) -> str:
        return str((await upload(client, lines("one"))).json()["id"])

    file_id = talk(coordinator(tmp_path, prm_url), uploaded)
    folder = tmp_path / ".mstar" / "files"
    for name in ("new-1", "f-without-a-row"):
        (folder / name).write_bytes(b"x")

    async def nothing(client: httpx2.AsyncClient) -> None:
        return None

    talk(coordinator(tmp_path, prm_url), nothing)
    assert [path.name for path in folder.iterdir()] == [file_id]


def test_a_key_keeps_as_many_bytes_as_it_may(tmp_path: Path, prm_url: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        held = len(lines("a"))
        limits = {"stored_bytes": 2 * held}
        small = bearer((await make_key(client, "score", limits=limits)).key)
        other = bearer((await make_key(client, "score")).key)
        kept = [(await upload(client, lines("a"), small)).json()["id"] for _ in range(2)]
        refused = await upload(client, lines("a"), small)
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0, refused.text
        assert f"{2 * held} bytes" in refused.json()["detail"]
        assert (await upload(client, lines("a"), other)).status_code == 200
        assert (await client.delete(f"/v1/files/{kept[0]}", headers=small)).status_code == 200
        assert (await upload(client, lines("a"), small)).status_code == 200

    talk(door(tmp_path, prm_url=prm_url, score_key=SecretStr("k-score")), conversation)
