"""Files and batches over their routes, before a PRM on a socket: by OpenAI's client, over restarts, by project."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from openai import OpenAI
from pydantic import SecretStr

from coordinator_bench import HandClock, MemoryPublisher, lay_tables
from door_bench import bearer, door, make_key
from mstar.api.batches import BatchCreate
from mstar.api.prm import ScoreReply
from mstar.client import Client, Endpoint
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.api.app import build_app
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.store.database import open_store
from mstar_prm.app import create_app as create_prm
from mstar_prm.config import PrmSettings
from policy_bench import checkpoint
from web_bench import serving, talk

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


@pytest.fixture
def prm() -> Prm:
    return Prm()


@pytest.fixture
def prm_url(prm: Prm) -> Iterator[str]:
    with serving(prm.app) as url:
        yield url
        # A server waits for what it still answers.
        prm.seconds = 0.0


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


def test_a_request_that_ends_the_prm_does_not_hold_up_the_others(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    prm.other["odd"] = lambda _: (500, {"detail": "no"}, {})

    async def conversation(client: httpx2.AsyncClient) -> dict[str, Any]:
        batch_id = (await begin(client, lines("odd", "even"))).json()["id"]
        return await ended(client, batch_id)

    batch = talk(coordinator(tmp_path, prm_url), conversation)
    assert batch["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    assert prm.asked.count("odd") == 3


def test_a_batch_says_what_its_requests_wait_for(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    """A PRM that was started anew has no weights until somebody loads them."""
    empty: list[bool] = [True]
    refused = 503, {"detail": "no weights are loaded: `mstar serve RUN`"}, {"retry-after": "0"}
    prm.other["a"] = lambda before: refused if empty else (200, {"results": []}, {})

    async def scenario(client: httpx2.AsyncClient) -> None:
        batch = (await begin(client, lines("a"))).json()
        for _ in range(600):
            shown = (await client.get(f"/v1/batches/{batch['id']}")).json()
            if shown["problem"]:
                break
            await asyncio.sleep(0.05)
        assert shown["status"] == "in_progress"
        assert shown["problem"] == "the PRM answers with 503: no weights are loaded: `mstar serve RUN`"
        (listed,) = (await client.get("/v1/batches")).json()["data"]
        assert listed["problem"] == shown["problem"]
        empty.clear()
        assert (await ended(client, batch["id"]))["problem"] is None

    talk(coordinator(tmp_path, prm_url), scenario)


def test_a_key_that_the_prm_does_not_know_yet_spoils_no_line(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    """While keys are changed, the PRM has the new one and the coordinator the old one, or the other way round."""
    prm.other["a"] = lambda before: (200, {"results": []}, {}) if before else (401, {"detail": "send a key"}, {})

    async def conversation(client: httpx2.AsyncClient) -> dict[str, Any]:
        return await ended(client, (await begin(client, lines("a", "b"))).json()["id"])

    batch = talk(coordinator(tmp_path, prm_url), conversation)
    assert batch["request_counts"] == {"total": 2, "completed": 2, "failed": 0}


def test_a_file_that_cannot_be_read_holds_up_its_own_batch_only(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        prm.seconds = 0.2
        first = (await begin(client, lines(*map(str, range(20))))).json()
        path = tmp_path / ".mstar" / "files" / first["input_file_id"]
        content = path.read_bytes()
        path.unlink()
        path.mkdir()
        second = (await begin(client, lines("a"))).json()
        assert (await ended(client, second["id"]))["status"] == "completed"
        shown = await held(client, first["id"])
        assert "its files on the coordinator's disk cannot be used: Is a directory" in shown["problem"]
        assert str(tmp_path) not in shown["problem"]
        path.rmdir()
        path.write_bytes(content)
        prm.seconds = 0.0
        assert (await ended(client, first["id"]))["request_counts"]["completed"] == 20

    talk(coordinator(tmp_path, prm_url), conversation)


def test_a_prm_that_hangs_holds_up_no_cancellation(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        prm.seconds = 60.0
        first, second = [(await begin(client, lines(one))).json()["id"] for one in "ab"]
        while not prm.asked:
            await asyncio.sleep(0.05)
        began = time.monotonic()
        for batch_id in (second, first):
            await client.post(f"/v1/batches/{batch_id}/cancel")
        assert (await ended(client, second))["status"] == "cancelled" and time.monotonic() - began < 4
        stopped = await ended(client, first)
        assert (stopped["status"], stopped["request_counts"]["completed"]) == ("cancelled", 0)
        assert time.monotonic() - began < 15

    talk(coordinator(tmp_path, prm_url), conversation)


async def held(client: httpx2.AsyncClient, batch_id: str) -> dict[str, Any]:
    for _ in range(600):
        shown = (await client.get(f"/v1/batches/{batch_id}")).json()
        if shown["problem"]:
            return dict(shown)
        await asyncio.sleep(0.05)
    raise AssertionError(shown)


def test_what_was_answered_before_the_input_was_lost_is_kept(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    prm.seconds = 0.1

    async def conversation(client: httpx2.AsyncClient) -> None:
        batch = (await begin(client, lines(*map(str, range(300))))).json()
        while len(prm.asked) < 3:
            await asyncio.sleep(0.05)
        (tmp_path / ".mstar" / "files" / batch["input_file_id"]).unlink()
        lost = await ended(client, batch["id"])
        assert lost["status"] == "failed" and "is gone" in lost["errors"]["data"][0]["message"]
        done = lost["request_counts"]["completed"]
        assert 2 <= done < 300 and len(await rows(client, lost["output_file_id"])) == done

    talk(coordinator(tmp_path, prm_url), conversation)


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
