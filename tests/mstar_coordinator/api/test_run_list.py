"""Tags, the archive, the filtered list, and deleting: what goes, what stays, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from coordinator_bench import SMALL, MemoryPublisher
from mstar_coordinator.store.run_tags import RunTags
from mstar_coordinator.store.tables import metadata
from pages_bench import client_of, indexed, start, work


@pytest.fixture
def client(home: Path, publisher: MemoryPublisher) -> Iterator[httpx2.Client]:
    yield from client_of(home, publisher)


def listed(client: httpx2.Client, **query: str) -> list[str]:
    return [run["id"] for run in client.get("/v1/runs", params=query).json()["data"]]


def test_runs_are_found_by_state_tag_and_text_and_the_archive_is_apart(client: httpx2.Client) -> None:
    first, second = start(client), start(client)
    assert client.patch(f"/v1/runs/{first}", json={"tags": ["baseline", "a.b", "baseline"]}).json()["tags"] == [
        "a.b",
        "baseline",
    ]
    client.post(f"/v1/runs/{second}/cancel", json={})
    assert listed(client) == [second, first]
    assert listed(client, tag="baseline") == listed(client, state="running") == [first]
    assert listed(client, text="SMAL") == [second, first] and listed(client, text=first[-5:]) == [first]
    assert listed(client, text="%") == listed(client, text="_mall") == [], "no wildcard of the database"
    client.patch(f"/v1/runs/{second}", json={"tags": ["archived"]})
    assert listed(client) == [first] and listed(client, archived="true") == [second, first]
    assert listed(client, tag="archived") == [second]
    assert client.patch(f"/v1/runs/{second}", json={"tags": []}).json()["tags"] == []
    assert listed(client, limit="1") == [second] and listed(client, after=second) == [first]


@pytest.mark.parametrize("tags", [["A"], ["x" * 41], [""], ["<b>"], ["a"] * 21, "a", None, [1]])
def test_a_tag_that_is_none_is_refused(client: httpx2.Client, tags: object) -> None:
    refused = client.patch(f"/v1/runs/{start(client)}", json={"tags": tags})
    assert refused.status_code == 422 and "tags" in refused.json()["field"]


def test_a_run_is_deleted_with_all_that_it_made(client: httpx2.Client, publisher: MemoryPublisher, home: Path) -> None:
    kept = start(client)
    gone = start(client)
    work(client, publisher, home, "it01/generate/0000")
    client.patch(f"/v1/runs/{gone}", json={"tags": ["x"]})
    running = client.delete(f"/v1/runs/{gone}?confirm={gone}", headers={"content-type": "application/json"})
    assert running.status_code == 409 and "cancel it" in running.json()["detail"]
    for run_id in (kept, gone):
        client.post(f"/v1/runs/{run_id}/cancel", json={})
    json_type = {"content-type": "application/json"}
    for confirm in ("", "?confirm=yes", f"?confirm={kept}"):
        refused = client.delete(f"/v1/runs/{gone}{confirm}", headers=json_type)
        assert refused.status_code == 409 and refused.json()["field"] == "confirm"
    indexed(client, f"/runs/{kept}/responses")
    client.get(f"/runs/{gone}/responses")
    deleted = client.delete(f"/v1/runs/{gone}?confirm={gone}", headers=json_type)
    assert deleted.json() == {"id": gone, "deleted": True}
    assert client.get(f"/v1/runs/{gone}").status_code == client.get(f"/runs/{gone}").status_code == 404
    assert client.delete(f"/v1/runs/{gone}?confirm={gone}", headers=json_type).status_code == 404
    assert listed(client) == [kept] and client.get(f"/v1/runs/{kept}").status_code == 200
    assert not [path for path in (home / "runs").rglob("*") if gone in path.name]
    assert client.post("/v1/runs", json={"recipe": json.loads(SMALL.model_dump_json())}).status_code == 202


def test_an_idempotency_key_of_a_deleted_run_starts_a_new_one(client: httpx2.Client) -> None:
    body, key = {"recipe": json.loads(SMALL.model_dump_json())}, {"Idempotency-Key": "k-1"}
    first = client.post("/v1/runs", json=body, headers=key).json()["id"]
    client.post(f"/v1/runs/{first}/cancel", json={})
    client.delete(f"/v1/runs/{first}?confirm={first}", headers={"content-type": "application/json"})
    assert client.post("/v1/runs", json=body, headers=key).json()["id"] != first


def test_every_table_that_points_at_runs_is_thought_of() -> None:
    pointing = {
        table.name
        for table in metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table.name in ("runs", "steps")
    }
    assert pointing == {"steps", "step_needs", "events", "suspects", "run_tags", "study_runs"}, RunTags.remove.__doc__
