"""A worker's surroundings for each test, with the data set prepared."""

from pathlib import Path

import pytest

from work_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.prepare()
    return bench
