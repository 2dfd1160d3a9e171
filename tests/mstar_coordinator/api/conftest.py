"""The coordinator's app on a home of either database, for tests that send it requests in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from batch_bench import Prm
from coordinator_bench import HandClock, MemoryPublisher, database_of
from mstar_coordinator.api.app import build_app
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.store.database import open_store
from web_bench import serving


@pytest.fixture
def publisher() -> MemoryPublisher:
    return MemoryPublisher()


@pytest.fixture
def app(home: Path, publisher: MemoryPublisher) -> Iterator[FastAPI]:
    """The app, with one recipe by name: `demo`."""
    recipes = home / "recipes"
    recipes.mkdir()
    (recipes / "demo.yaml").write_text("name: demo")
    settings = CoordinatorSettings(
        broker_url="redis://unused",
        home=home / "runs",
        data_root=home,
        recipes_folder=recipes,
        reserve_bytes=0,
    )
    store = open_store(database_of(home))
    yield build_app(settings, store, publisher, HandClock())
    store.close()


@pytest.fixture
def prm() -> Prm:
    """A PRM that answers every request, for batches."""
    return Prm()


@pytest.fixture
def prm_url(prm: Prm) -> Iterator[str]:
    """Where that PRM answers."""
    with serving(prm.app) as url:
        yield url
        # A server waits for what it still answers.
        prm.seconds = 0.0
