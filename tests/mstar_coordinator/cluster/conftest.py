"""An API server for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster_bench import ApiServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer(tmp_path) as server:
        yield server
