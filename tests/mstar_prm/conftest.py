"""Two small checkpoints with random weights, made once and copied for each test; and the app over a fake scorer."""

import shutil
from pathlib import Path

import pytest
import torch
from fastapi import FastAPI

from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_prm.app import build_app
from mstar_prm.config import PrmSettings
from policy_bench import checkpoint
from reading_scorer import ReadingScorer


@pytest.fixture(scope="session")
def _first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ArtefactRef, ArtefactRef]:
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("prm-home")
    store = ArtefactStore(home)
    return home, checkpoint(store, "r1/prm/train", seed=1), checkpoint(store, "r2/prm/train", seed=2)


@pytest.fixture
def store(_first: tuple[Path, ArtefactRef, ArtefactRef], tmp_path: Path) -> ArtefactStore:
    shutil.copytree(_first[0], tmp_path / "home")
    return ArtefactStore(tmp_path / "home")


@pytest.fixture
def prm(_first: tuple[Path, ArtefactRef, ArtefactRef]) -> ArtefactRef:
    return _first[1]


@pytest.fixture
def newer(_first: tuple[Path, ArtefactRef, ArtefactRef]) -> ArtefactRef:
    return _first[2]


@pytest.fixture
def scorer() -> ReadingScorer:
    return ReadingScorer("m@111111111111")


@pytest.fixture
def app(tmp_path: Path, scorer: ReadingScorer) -> FastAPI:
    """The app over a scorer that reads its scores from the text."""
    return build_app(PrmSettings(home=tmp_path), scorer)
