"""A coordinator that asks for keys, and what tests of its door say to it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from coordinator_bench import HandClock, MemoryPublisher, database_of, lay_tables
from mstar.api.keys import NewKey
from mstar_coordinator.api.app import build_app
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.store.database import open_store
from mstar_web.logs import configure_logs
from web_bench import serving

BOOTSTRAP = {"run_admin": "k-run", "internal": "k-inside", "metrics": "k-scrape"}


def door(home: Path, clock: HandClock | None = None, **settings: Any) -> FastAPI:
    """A coordinator with bootstrap keys on a home; the store closes with the app's lifespan."""
    keys = {f"{role}_key": SecretStr(key) for role, key in BOOTSTRAP.items()}
    fields = {"home": home / "runs", "data_root": home, "reserve_bytes": 0, **keys, **settings}
    clock = clock or HandClock()
    lay_tables(home)
    store = open_store(database_of(home), clock.wall)
    return build_app(CoordinatorSettings(broker_url="redis://unused", **fields), store, MemoryPublisher(), clock)


def coordinator_for_commands(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a coordinator that asks for keys; commands in this process find its address and an operator's key set."""
    # Else the coordinator in this process writes its log where the command writes what it says.
    configure_logs("coordinator")
    with serving(door(home)) as url:
        monkeypatch.setenv("MSTAR_URL", url)
        monkeypatch.setenv("MSTAR_RUN_ADMIN_KEY", BOOTSTRAP["run_admin"])
        yield url


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def make_key(client: httpx2.AsyncClient, *roles: str, by: str = BOOTSTRAP["run_admin"], **fields: Any) -> NewKey:
    """A new key with these roles."""
    body = {"name": "a key", "roles": roles, **fields}
    answer = await client.post("/v1/keys", json=body, headers=bearer(by))
    assert answer.status_code == 201, answer.text
    return NewKey.model_validate_json(answer.content)
