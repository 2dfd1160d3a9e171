"""The REST API over ASGI: what users, the command line and the workers see."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from coordinator_bench import SMALL, MemoryPublisher, commit_of
from mstar.api.runs import Event, Page, Run
from mstar.api.steps import Claim
from mstar.results import RunResults
from web_bench import ask, talk

INLINE = {"recipe": json.loads(SMALL.model_dump_json())}


async def start(client: httpx2.AsyncClient, **headers: str) -> str:
    answer = await client.post("/v1/runs", json=INLINE, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def work(client: httpx2.AsyncClient, publisher: MemoryPublisher, run_id: str) -> None:
    """Be the workers, over HTTP and by hints alone, until the run is not running."""
    for _ in range(2000):
        hint = publisher.take()
        if hint is None:
            if (await client.get(f"/v1/runs/{run_id}")).json()["state"] != "running":
                return
            await asyncio.sleep(0.01)
            continue
        answer = await client.post(f"/internal/v1/steps/{hint}/claim", json={"worker": "w"})
        claim = Claim.model_validate_json(answer.content)
        await client.post(f"/internal/v1/steps/{hint}/commit", json=commit_of(claim).model_dump(mode="json"))
    raise AssertionError("the run did not end")


def problem(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def test_a_run_is_started_worked_off_and_shown(app: FastAPI, publisher: MemoryPublisher, tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> str:
        answer = await client.post("/v1/runs", json=INLINE)
        run = Run.model_validate_json(answer.content)
        assert answer.headers["location"] == f"/v1/runs/{run.id}"
        assert (run.state, run.progress.steps_done, run.progress.stage) == ("running", 0, "prepare")
        await work(client, publisher, run.id)
        shown = Run.model_validate_json((await client.get(f"/v1/runs/{run.id}")).content)
        assert shown.state == "succeeded" and shown.progress.steps_done == shown.progress.steps_total
        results = RunResults.model_validate_json((await client.get(f"/v1/runs/{run.id}/results")).content)
        assert results.iterations[0].greedy == 0.5
        iterations = (await client.get(f"/v1/runs/{run.id}/iterations")).json()
        assert [one["index"] for one in iterations["data"]] == [1]
        checkpoints = (await client.get(f"/v1/runs/{run.id}/checkpoints")).json()["data"]
        assert [one["objective"] for one in checkpoints] == ["sft", "prm", "sft"]
        assert checkpoints[-1]["weight_version"] == f"{run.id}/it01/train@{'a' * 12}"
        return run.id

    run_id = talk(app, conversation)
    written = json.loads((tmp_path / "runs" / run_id / "results.json").read_text())
    assert written["state"] == "succeeded"
    assert (tmp_path / "runs" / "latest").resolve().name == run_id


def test_a_key_makes_a_retry_harmless(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        tries = await asyncio.gather(*(start(client, **{"Idempotency-Key": "k"}) for _ in range(20)))
        assert len(set(tries)) == 1
        assert len((await client.get("/v1/runs")).json()["data"]) == 1
        other = await client.post("/v1/runs", json={"recipe": "demo"}, headers={"Idempotency-Key": "k"})
        assert problem(other) == (422, "idempotency-mismatch")

    talk(app, conversation)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"recipe": "nope"}, "invalid-recipe", "recipe"),
        ({"recipe": {"name": "x", "evolutoin": {}}}, "invalid-recipe", "evolutoin"),
        ({"recipe": {"name": "x", "seed": -1}}, "invalid-recipe", "seed"),
        ({"recipe": "demo", "overrides": {"evolution.n": 0}}, "invalid-recipe", "evolution.n"),
        ({"recipe": "demo", "overrides": {"data.source": "/etc"}}, "forbidden", "data.source"),
        (
            {"recipe": "demo", "overrides": {"data.train": 10**7, "evolution.questions": 10**7}},
            "invalid-recipe",
            "generation.shard_questions",
        ),
        ({"recipe": "demo", "overrides": {"evolution.questions": 10**12}}, "invalid-recipe", "evolution.questions"),
        ({"recipe": "demo", "overrides": {"evolution": {"n": 10**9}}}, "invalid-recipe", "evolution.n"),
        ({"recipe": {"name": "\ud800"}}, "invalid-input", "body"),
        ({"recipe": json.loads('{"a":' * 300 + "1" + "}" * 300)}, "invalid-input", "body"),
        ({"recipe": "demo", "overrides": {"a" * 10**6: 1}}, "invalid-recipe", "overrides"),
        ({}, "invalid-input", "recipe"),
        ({"recipe": "demo", "extra": 1}, "invalid-input", "extra"),
    ],
)
def test_a_bad_run_names_its_field_and_leaves_nothing(
    app: FastAPI, tmp_path: Path, body: dict[str, Any], code: str, field: str
) -> None:
    # Encoded here, since the client's own encoder refuses half of a surrogate pair.
    answer = ask(app, "POST", "/v1/runs", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert (answer.json()["code"], answer.json()["field"]) == (code, field)
    assert list((tmp_path / "runs").glob("r-*")) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/steps"),
        ("GET", "/events"),
        ("GET", "/iterations"),
        ("POST", "/iterations"),
        ("GET", "/results"),
        ("GET", "/checkpoints"),
        ("GET", "/samples"),
        ("GET", "/report"),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/cancel"),
    ],
)
def test_an_unknown_run_is_not_found(app: FastAPI, method: str, path: str) -> None:
    assert problem(ask(app, method, f"/v1/runs/r-none{path}")) == (404, "not-found")


def test_an_unknown_run_is_not_found_as_a_stream_either(app: FastAPI) -> None:
    answer = ask(app, "GET", "/v1/runs/r-none/events", headers={"Accept": "text/event-stream"})
    assert problem(answer) == (404, "not-found")


def test_states_that_do_not_allow_a_request_are_conflicts(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        run_id = await start(client)
        assert problem(await client.post(f"/v1/runs/{run_id}/resume")) == (409, "illegal-transition")
        assert (await client.post(f"/v1/runs/{run_id}/pause")).json()["state"] == "paused"
        assert (await client.post(f"/v1/runs/{run_id}/resume")).json()["state"] == "running"
        assert (await client.post(f"/v1/runs/{run_id}/cancel")).json()["state"] == "cancelled"
        assert problem(await client.post(f"/v1/runs/{run_id}/iterations")) == (409, "illegal-transition")

    talk(app, conversation)


def test_an_iteration_is_started_by_hand(app: FastAPI, publisher: MemoryPublisher) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        run_id = await start(client)
        await work(client, publisher, run_id)
        answer = await client.post(f"/v1/runs/{run_id}/iterations", json={"count": 1})
        assert (answer.status_code, answer.json()["iterations"], answer.json()["state"]) == (202, 2, "running")
        await work(client, publisher, run_id)
        page = (await client.get(f"/v1/runs/{run_id}/iterations", params={"after": 1})).json()
        assert [one["index"] for one in page["data"]] == [2]

    talk(app, conversation)


def test_lists_are_paged_without_gaps_or_repeats(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        ids = {await start(client) for _ in range(5)}
        seen: list[str] = []
        after: dict[str, str] = {}
        while True:
            page = (await client.get("/v1/runs", params={"limit": "2"} | after)).json()
            seen += [run["id"] for run in page["data"]]
            if not page["has_more"]:
                break
            after = {"after": page["last_id"]}
        assert seen == sorted(ids, reverse=True)
        run_id = seen[0]
        steps = (await client.get(f"/v1/runs/{run_id}/steps", params={"limit": 3})).json()
        rest = (await client.get(f"/v1/runs/{run_id}/steps", params={"after": steps["last_id"]})).json()
        names = [step["name"] for step in steps["data"] + rest["data"]]
        assert len(names) == len(set(names)) and names[0] == "prepare" and names[-1] == "publish/01"

    talk(app, conversation)


def test_events_stream_to_the_end_and_resume_after_the_last_seen(app: FastAPI, publisher: MemoryPublisher) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        run_id = await start(client)
        await work(client, publisher, run_id)
        page = Page[Event].model_validate_json((await client.get(f"/v1/runs/{run_id}/events?limit=500")).content)
        headers = {"Accept": "text/event-stream"}
        whole = _streamed(await client.get(f"/v1/runs/{run_id}/events", headers=headers))
        assert whole == list(page.data)
        resumed = await client.get(f"/v1/runs/{run_id}/events", headers=headers | {"Last-Event-ID": "7"})
        assert resumed.headers["content-type"].startswith("text/event-stream")
        assert [event.id for event in _streamed(resumed)] == [event.id for event in page.data][7:]
        bad = await client.get(f"/v1/runs/{run_id}/events", headers=headers | {"Last-Event-ID": "x"})
        assert problem(bad) == (422, "invalid-input")

    talk(app, conversation)


def test_a_stream_waits_for_what_happens_next(app: FastAPI, publisher: MemoryPublisher) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        run_id = await start(client)
        path = f"/v1/runs/{run_id}/events"
        stream = asyncio.create_task(client.get(path, headers={"Accept": "text/event-stream"}))
        await asyncio.sleep(0.05)
        await work(client, publisher, run_id)
        events = _streamed(await stream)
        assert [event.id for event in events] == list(range(1, len(events) + 1))
        assert events[-1].type == "run.succeeded"

    talk(app, conversation)


def test_open_streams_end_when_the_service_stops(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        run_id = await start(client)
        stream = asyncio.create_task(client.get(f"/v1/runs/{run_id}/events", headers={"Accept": "text/event-stream"}))
        await asyncio.sleep(0.05)
        app.state.stopping.set()
        async with asyncio.timeout(5):
            events = _streamed(await stream)
        # On a slow machine the stream may begin when the service has stopped already.
        assert {event.type for event in events} <= {"run.created"}

    talk(app, conversation)


NASTY = ("%00", "r-%ED%A0%80", "x" * 5000, "-1", str(2**63), "r-%F0%9F%98%80")


def test_ids_and_numbers_that_nothing_can_hold_are_refused(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        run_id = await start(client)
        step = (await client.get(f"/v1/runs/{run_id}/steps")).json()["data"][0]["id"]
        assert (await client.post(f"/internal/v1/steps/{step}/claim", json={"worker": "w"})).status_code == 200
        asked: list[tuple[str, str, Any]] = []
        for nasty in NASTY:
            asked += [("GET", f"/v1/runs/{nasty}{tail}", None) for tail in ("", "/steps", "/report", "/events")]
            asked += [("GET", f"/v1/runs?after={nasty}", None), ("GET", f"/internal/v1/steps/{nasty}/claim", None)]
            asked += [("GET", f"/v1/runs/{run_id}/{one}?after={nasty}", None) for one in ("steps", "events")]
            asked += [("POST", f"/v1/runs/{nasty}/pause", {}), ("POST", f"/v1/runs/{nasty}/iterations", {"count": 1})]
            asked.append(("GET", f"/internal/v1/steps/{step}/arrivals?epoch=1&after={nasty}", None))
        for number in (2**31, 2**63, 10**400, -(2**63)):
            path = f"/internal/v1/steps/{step}"
            asked.append(("POST", f"{path}/heartbeat", {"epoch": 1, "done": number, "total": number}))
            asked.append(("POST", f"{path}/heartbeat", {"epoch": number}))
            asked.append(("POST", f"/v1/runs/{run_id}/iterations", {"count": number}))
        for text in ("\ud800", "a\x00b", "x" * 10**6):
            asked.append(("POST", f"/internal/v1/steps/{step}/claim", {"worker": text}))
            asked.append(("POST", f"/internal/v1/steps/{step}/release", {"epoch": 7, "error": text, "code": text}))
            asked.append(("POST", "/v1/runs", {"recipe": text}))
            asked.append(("POST", "/v1/runs", {"recipe": {"name": text}}))
            asked.append(("POST", "/v1/runs", {"recipe": "demo", "overrides": {text: 1}}))
        wrong = []
        for method, path, body in asked:
            content = None if body is None else json.dumps(body)
            headers = {"Content-Type": "application/json"}
            answer = await client.request(method, path, content=content, headers=headers)
            if answer.status_code >= 500:
                wrong.append((method, path[:60], str(body)[:60], answer.status_code))
        assert wrong == []

    talk(app, conversation)


def _streamed(answer: httpx2.Response) -> list[Event]:
    lines = answer.text.splitlines()
    return [Event.model_validate_json(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def test_workers_are_told_when_a_step_is_not_theirs(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        run_id = await start(client)
        step = (await client.get(f"/v1/runs/{run_id}/steps")).json()["data"][0]["id"]
        path = f"/internal/v1/steps/{step}"
        assert (await client.post(f"{path}/claim", json={"worker": "w"})).json()["epoch"] == 1
        assert problem(await client.post(f"{path}/claim", json={"worker": "v"})) == (409, "step-taken")
        assert problem(await client.post(f"{path}/heartbeat", json={"epoch": 9})) == (409, "stale-epoch")
        released = await client.post(f"{path}/release", json={"epoch": 1, "error": "bad data", "retryable": False})
        assert released.json() == {"ok": True}
        run = (await client.get(f"/v1/runs/{run_id}")).json()
        assert run["state"] == "failed" and "prepare" in run["error"] and "bad data" in run["error"]

    talk(app, conversation)


def test_a_report_is_served_once_it_is_there_and_may_run_nothing(app: FastAPI, tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        run_id = await start(client)
        assert problem(await client.get(f"/v1/runs/{run_id}/report")) == (404, "not-found")
        (tmp_path / "runs" / run_id / "report.html").write_text("<h1>report</h1>")
        answer = await client.get(f"/v1/runs/{run_id}/report")
        assert answer.text == "<h1>report</h1>"
        assert "sandbox" in answer.headers["content-security-policy"]

    talk(app, conversation)


def test_recipes_are_listed(app: FastAPI) -> None:
    assert [one["name"] for one in ask(app, "GET", "/v1/recipes").json()["data"]] == ["demo"]


def test_a_broker_that_is_down_shows_in_the_metrics_and_stops_no_request(
    app: FastAPI, publisher: MemoryPublisher
) -> None:
    publisher.down = True

    async def conversation(client: httpx2.AsyncClient) -> None:
        await start(client)
        while "mstar_coordinator_degraded 1.0" not in (await client.get("/metrics")).text:
            await asyncio.sleep(0.01)
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["problem"]) == (200, "the broker is down")

    talk(app, conversation)


def test_the_api_documents_examples_for_starting_a_run(app: FastAPI) -> None:
    document = ask(app, "GET", "/openapi.json").json()
    content = document["paths"]["/v1/runs"]["post"]["requestBody"]["content"]["application/json"]
    assert set(content["examples"]) == {"by name", "inline"}


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/runs", "GET, HEAD, POST"),
        ("/v1/runs/r-none", "DELETE, GET, HEAD, PATCH"),
        ("/v1/runs/r-none/pause", "POST"),
    ],
)
def test_a_method_that_a_path_lacks_is_told_which_it_has(app: FastAPI, path: str, methods: str) -> None:
    refused = ask(app, "PUT", path, json={})
    assert (refused.status_code, refused.headers["allow"]) == (405, methods)
