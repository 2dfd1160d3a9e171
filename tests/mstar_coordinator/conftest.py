"""Fixtures of the coordinator's tests: real SQLite files below the test's own folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench on a new database."""
    bench = Bench(tmp_path)
    yield bench
    bench.store.close()
