"""Batches over their routes, before a PRM on a socket: by OpenAI's client, over restarts, by project."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import OpenAI
from pydantic import SecretStr

from batch_bench import ENDED, Prm, begin, coordinator, ended, lines, rows
from coordinator_bench import HandClock
from door_bench import bearer, door, make_key
from mstar.api.batches import BatchCreate
from mstar.api.prm import ScoreReply
from mstar.client import Client, Endpoint
from mstar_artefacts.store import ArtefactStore
from mstar_prm.app import create_app as create_prm
from mstar_prm.config import PrmSettings
from policy_bench import checkpoint
from web_bench import serving, talk


def test_the_openai_client_uploads_waits_and_reads(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    prm.other["bad"] = lambda _: (422, {"detail": "responses: none"}, {})
    with (
        serving(coordinator(tmp_path, prm_url)) as url,
        OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
    ):
        file = client.files.create(file=("mine.jsonl", lines("one", "bad", "two")), purpose="batch")
        assert (file.filename, file.purpose, file.bytes) == ("mine.jsonl", "batch", len(lines("one", "bad", "two")))
        batch = client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/score",  # type: ignore[arg-type]  # their list of routes is OpenAI's own
            completion_window="24h",
            metadata={"for": "me"},
        )
        assert [one.id for one in client.batches.list(limit=1)] == [batch.id]
        until = time.monotonic() + 30
        while batch.status not in ENDED and time.monotonic() < until:
            time.sleep(0.05)
            batch = client.batches.retrieve(batch.id)
        counts = batch.request_counts
        assert counts is not None and (counts.total, counts.completed, counts.failed) == (3, 2, 1)
        assert batch.status == "completed" and batch.metadata == {"for": "me"}
        assert batch.output_file_id and batch.error_file_id
        good = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
        bad = [json.loads(line) for line in client.files.content(batch.error_file_id).text.splitlines()]
        assert [row["custom_id"] for row in good] == ["q-one", "q-two"]
        assert good[0]["response"]["body"]["model_version"] == "p@1" and good[0]["error"] is None
        assert [(row["custom_id"], row["response"]["status_code"]) for row in bad] == [("q-bad", 422)]
        listed = {one.id for one in client.files.list()}
        assert listed == {file.id, batch.output_file_id, batch.error_file_id}
        assert client.files.delete(file.id).deleted
        assert file.id not in {one.id for one in client.files.list(purpose="batch")}


def test_a_batch_goes_on_after_a_restart_and_asks_nothing_twice(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    questions = [f"{number}" for number in range(6)]
    # From the third on the PRM has no time, until the coordinator has been stopped and started again.
    restarted = False
    prm.other["2"] = lambda _: (200, {"results": []}, {}) if restarted else (503, {}, {"retry-after": "30"})

    async def first(client: httpx2.AsyncClient) -> str:
        batch_id = str((await begin(client, lines(*questions))).json()["id"])
        while (await client.get(f"/v1/batches/{batch_id}")).json()["request_counts"]["completed"] < 2:
            await asyncio.sleep(0.05)
        return batch_id

    batch_id = talk(coordinator(tmp_path, prm_url), first)
    restarted = True

    async def second(client: httpx2.AsyncClient) -> list[str]:
        batch = await ended(client, batch_id)
        assert batch["status"] == "completed" and batch["error_file_id"] is None
        return [row["custom_id"] for row in await rows(client, batch["output_file_id"])]

    assert talk(coordinator(tmp_path, prm_url), second) == [f"q-{one}" for one in questions]
    assert prm.asked == ["0", "1", "2", *questions[2:]]
    assert list((tmp_path / ".mstar" / "batches").iterdir()) == []


def test_cancelling_keeps_what_was_answered(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    prm.seconds = 0.1

    async def conversation(client: httpx2.AsyncClient) -> None:
        batch_id = (await begin(client, lines(*map(str, range(300))))).json()["id"]
        while len(prm.asked) < 3:
            await asyncio.sleep(0.05)
        answer = await client.post(f"/v1/batches/{batch_id}/cancel")
        assert answer.status_code == 200 and answer.json()["status"] in ("cancelling", "cancelled")
        batch = await ended(client, batch_id)
        assert batch["status"] == "cancelled" and batch["cancelled_at"] is not None
        done = batch["request_counts"]["completed"]
        assert 1 <= done < 300 and len(await rows(client, batch["output_file_id"])) == done
        again = await client.post(f"/v1/batches/{batch_id}/cancel")
        assert again.status_code == 409 and "cancelled" in again.json()["detail"]

    talk(coordinator(tmp_path, prm_url), conversation)


def test_what_is_not_done_in_time_is_listed(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    prm.other["two"] = lambda _: (503, {}, {"retry-after": "30"})
    clock = HandClock()

    async def conversation(client: httpx2.AsyncClient) -> None:
        batch_id = (await begin(client, lines("one", "two", "three"), completion_window="1h")).json()["id"]
        while "two" not in prm.asked:
            await asyncio.sleep(0.05)
        clock.pass_(3601)
        batch = await ended(client, batch_id)
        assert (batch["status"], batch["request_counts"]) == ("expired", {"total": 3, "completed": 1, "failed": 2})
        left = await rows(client, batch["error_file_id"])
        assert [(row["custom_id"], row["error"]["code"]) for row in left] == [
            ("q-two", "batch_expired"),
            ("q-three", "batch_expired"),
        ]

    talk(coordinator(tmp_path, prm_url, clock), conversation)


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_a_clock_that_is_put_changes_nothing_of_a_batchs_time(
    jump: float, tmp_path: Path, prm: Prm, prm_url: str
) -> None:
    prm.other["two"] = lambda _: (503, {}, {"retry-after": "0"})
    clock = HandClock()

    async def asked_again(client: httpx2.AsyncClient, batch_id: str) -> str:
        before = len(prm.asked)
        while len(prm.asked) < before + 2:
            await asyncio.sleep(0.05)
        return str((await client.get(f"/v1/batches/{batch_id}")).json()["status"])

    async def conversation(client: httpx2.AsyncClient) -> None:
        batch_id = (await begin(client, lines("one", "two", "three"), completion_window="1h")).json()["id"]
        assert await asked_again(client, batch_id) == "in_progress"
        clock.jump(jump)
        assert await asked_again(client, batch_id) == "in_progress"
        clock.pass_(3500)
        assert await asked_again(client, batch_id) == "in_progress"
        clock.pass_(101)
        assert (await ended(client, batch_id))["status"] == "expired"

    talk(coordinator(tmp_path, prm_url, clock), conversation)


def test_another_project_sees_neither_files_nor_batches(tmp_path: Path) -> None:
    app = door(tmp_path, prm_url="http://127.0.0.1:9", score_key=SecretStr("k-score"))

    async def conversation(client: httpx2.AsyncClient) -> None:
        blue, red = [bearer((await make_key(client, "score", project=one)).key) for one in ("blue", "red")]
        batch = (await begin(client, lines("one"), blue)).json()
        file_id = batch["input_file_id"]
        for path in (f"/v1/files/{file_id}", f"/v1/files/{file_id}/content", f"/v1/batches/{batch['id']}"):
            assert (await client.get(path, headers=blue)).status_code == 200
            assert (await client.get(path, headers=red)).status_code == 404
        body = {"input_file_id": file_id, "endpoint": "/v1/score"}
        assert (await client.post("/v1/batches", json=body, headers=red)).status_code == 404
        assert (await client.post(f"/v1/batches/{batch['id']}/cancel", headers=red)).status_code == 404
        assert (await client.delete(f"/v1/files/{file_id}", headers=red)).status_code == 404
        for path in ("/v1/files", "/v1/batches"):
            assert (await client.get(path, headers=red)).json()["data"] == []

    talk(app, conversation)


def test_a_real_prm_scores_and_refuses_line_by_line(tmp_path: Path) -> None:
    home = tmp_path / "prm"
    weights = checkpoint(ArtefactStore(home), "r1/prm/train", seed=1)
    content = lines("How many bars are there?") + lines("No").replace(b'"text": "x"', b'"text": ""')

    async def conversation(client: httpx2.AsyncClient) -> dict[str, list[dict[str, Any]]]:
        batch = await ended(client, (await begin(client, content)).json()["id"])
        assert batch["request_counts"]["total"] == 2, batch
        return {
            kind: await rows(client, batch[f"{kind}_file_id"]) if batch[f"{kind}_file_id"] else []
            for kind in ("output", "error")
        }

    with serving(create_prm(PrmSettings(home=home, threads=1))) as url:
        named = {"artefact": weights.id, "manifest_sha256": weights.sha256}
        assert httpx2.put(f"{url}/v1/weights", json=named, timeout=60).status_code == 200
        found = talk(coordinator(tmp_path, url), conversation)
    scored, *_ = found["output"]
    assert scored["response"]["body"]["model_version"] == weights.version
    assert 0 <= scored["response"]["body"]["results"][0]["score"] <= 1
    # A single response that cannot be read is an error of the whole request.
    assert [row["custom_id"] for kind in found.values() for row in kind] == ["q-How many bars are there?", "q-No"]


def test_our_own_client_scores_in_bulk(tmp_path: Path, prm_url: str) -> None:
    with serving(coordinator(tmp_path, prm_url)) as url, Client(Endpoint(url, prm_url)) as client:
        file = client.upload("two.jsonl", lines("a", "b"))
        create = BatchCreate(input_file_id=file.id, endpoint="/v1/score")
        batch = client.create_batch(create, "once")
        assert client.create_batch(create, "once").id == batch.id
        until = time.monotonic() + 60
        while (batch := client.batch(batch.id)).status.value not in ENDED and time.monotonic() < until:
            time.sleep(0.1)
        assert batch.output_file_id is not None and client.batches().data[0] == batch
        answers = {row["custom_id"]: row["response"]["body"] for row in client.file_rows(batch.output_file_id)}
        assert {ScoreReply.model_validate(body).model_version for body in answers.values()} == {"p@1"}
        assert set(answers) == {"q-a", "q-b"} and len(client.files(purpose="batch_output").data) == 1
        assert client.delete_file(file.id).deleted
