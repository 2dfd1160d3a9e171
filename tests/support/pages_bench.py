"""A coordinator with its pages in this process, and a worker in the test that does a run's steps by hand."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2

from coordinator_bench import SMALL, HandClock, MemoryPublisher, commit_of, database_of, lay_tables
from example_rows import rollout
from mstar.api.steps import Claim
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ROWS, ArtefactStore
from mstar_coordinator.api.app import build_app
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.store.database import open_store
from web_bench import serving

EVIL = "<script>alert(1)</script>"


def client_of(home: Path, publisher: MemoryPublisher, **settings: str) -> Iterator[httpx2.Client]:
    fields: dict[str, Any] = {"home": home / "runs", "data_root": home, "reserve_bytes": 0, **settings}
    made = CoordinatorSettings(broker_url="redis://unused", **fields)
    lay_tables(home)
    app = build_app(made, open_store(database_of(home)), publisher, HandClock())
    with serving(app) as url, httpx2.Client(base_url=url, timeout=60) as client:
        yield client


def start(client: httpx2.Client) -> str:
    recipe = json.loads(SMALL.model_dump_json())
    return str(client.post("/v1/runs", json={"recipe": recipe}).json()["id"])


def step_by_hand(
    client: httpx2.Client, publisher: MemoryPublisher, commit: Callable[[Claim], dict[str, Any]]
) -> str | None:
    """Claim the next step and commit what `commit` makes of it; its name, or None when none is due now."""
    step = publisher.take()
    if step is None:
        time.sleep(0.02)
        return None
    answer = client.post(f"/internal/v1/steps/{step}/claim", json={"worker": "w"})
    if answer.status_code == 409:
        return None  # its run has ended meanwhile
    claim = Claim.model_validate_json(answer.content)
    handed_in = client.post(f"/internal/v1/steps/{step}/commit", json=commit(claim))
    assert handed_in.status_code == 200, handed_in.text
    return claim.step.name


def work(client: httpx2.Client, publisher: MemoryPublisher, home: Path, until: str) -> None:
    """Do steps by hand until one of that name is done; a rollout shard leaves two questions."""
    store = ArtefactStore(home / "runs")

    def commit(claim: Claim) -> dict[str, Any]:
        made = commit_of(claim)
        if claim.step.name.startswith("it01/generate"):
            rows = [rollout([True, False], name=f"q{EVIL}{place}") for place in range(2)]
            left: ArtefactRef = store.write_tables(claim.output_id, {ROWS: rows}, {})
            made = made.model_copy(update={"artefact": left})
        return made.model_dump(mode="json")

    for _ in range(400):
        if step_by_hand(client, publisher, commit) == until:
            return
    raise AssertionError(f"{until} was never done")


def indexed(client: httpx2.Client, path: str) -> str:
    """A page of responses once there are some on it."""
    for _ in range(200):
        if 'class="sample"' in (page := client.get(path).text):
            return page
        time.sleep(0.05)
    raise AssertionError(f"no responses on {path}")
