"""A home folder for each test."""

from pathlib import Path

import pytest

from trainer_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "home")
