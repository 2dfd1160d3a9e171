"""One small checkpoint for all tests of the policy, an artefact store for each, and models of three architectures."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi import FastAPI

from architectures import ARCHITECTURES
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.encoding import PromptEncoder
from mstar_policy.app import build_app
from mstar_policy.config import PolicySettings
from policy_bench import FakeEngine, checkpoint
from vllm_bench import StartedVllm


@pytest.fixture(scope="session")
def _first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ArtefactRef, ArtefactRef]:
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("policy-home")
    store = ArtefactStore(home)
    return home, checkpoint(store, "r1/warm/train", seed=1), checkpoint(store, "r1/it01/train", seed=2)


@pytest.fixture(scope="package")
def started() -> Iterator[StartedVllm]:
    """One vLLM for all files of this folder, since starting it takes many seconds."""
    with StartedVllm() as started:
        yield started


@pytest.fixture
def store(_first: tuple[Path, ArtefactRef, ArtefactRef], tmp_path: Path) -> ArtefactStore:
    shutil.copytree(_first[0], tmp_path / "home")
    return ArtefactStore(tmp_path / "home")


@pytest.fixture
def warm(_first: tuple[Path, ArtefactRef, ArtefactRef]) -> ArtefactRef:
    return _first[1]


@pytest.fixture
def newer(_first: tuple[Path, ArtefactRef, ArtefactRef]) -> ArtefactRef:
    return _first[2]


@pytest.fixture(params=ARCHITECTURES, ids=lambda make: make.__name__)
def random_model(request: pytest.FixtureRequest) -> tuple[Any, PromptEncoder]:
    """A model of random weights, larger than a fresh one's so that what it says depends on all it sees."""
    torch.manual_seed(3)
    make: Callable[[], tuple[Any, PromptEncoder]] = request.param
    model, prompts = make()
    with torch.no_grad():
        for weight in model.eval().parameters():
            weight.mul_(4 if weight.dim() > 1 else 1)
    return model, prompts


@pytest.fixture
def engine(store: ArtefactStore, warm: ArtefactRef) -> FakeEngine:
    engine = FakeEngine(store)
    asyncio.run(engine.load(warm))
    return engine


@pytest.fixture
def app(store: ArtefactStore, engine: FakeEngine) -> FastAPI:
    return build_app(PolicySettings(home=store.root, waiting_rows=100), engine)
