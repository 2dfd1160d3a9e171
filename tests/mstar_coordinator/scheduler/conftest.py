"""The folder that admission may read, with a data set and a model in it."""

from pathlib import Path

import pytest

from admission_bench import write_sources


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An allowed folder with a sound data set `set` and a sound model `model`."""
    return write_sources(tmp_path / "root")
