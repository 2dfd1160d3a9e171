"""Benchmarks are run rarely: here every module loads, and some do a little of their work."""

import os
import random
import subprocess
from importlib import import_module
from pathlib import Path

import benchmarks
import httpx2
import pytest
from benchmarks.data_import import write_source
from benchmarks.measure import by_cost, by_rate, compare
from benchmarks.responses import kinds, write_run

from mstar_coordinator.api.app import create_app
from mstar_coordinator.config import CoordinatorSettings
from mstar_data.importing import import_source
from mstar_data.rows import ReadOptions
from warm_starts import COLD_PYTHON
from web_bench import talk

ROOT = Path(__file__).parents[2]
MODULES = sorted(path.stem for path in Path(benchmarks.__file__).parent.glob("*.py") if path.stem != "__init__")
BENCH_GROUP = {"accelerate", "datasets", "trl"}
"""Packages of `make bench` alone."""


@pytest.mark.parametrize("name", MODULES)
def test_every_module_loads(name: str) -> None:
    try:
        import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as missing:
        if missing.name not in BENCH_GROUP:
            raise


def test_a_benchmark_that_is_started_by_its_name_finds_what_tests_have_for_models() -> None:
    looked = "import benchmarks, importlib.util; print(importlib.util.find_spec('family_folders') is not None)"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [COLD_PYTHON, "-c", looked]
    said = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    assert said.stdout == "True\n"


def test_sides_alternate_and_a_ratio_above_one_means_ours() -> None:
    ran: list[str] = []

    def side(name: str, cpu: float) -> dict[str, float]:
        ran.append(name)
        return {"cpu": cpu, "wall": 2 * cpu, "tokens": 12}

    pairs = compare(lambda: side("ours", 2.0), lambda: side("other", 3.0), pairs=3)
    assert "".join(name[1] for name in ran) == "ut" + "ut" + "tu" + "ut"
    cost, rate = by_cost("work", pairs, "another", 2.0), by_rate("work", pairs, "another", 1.2)
    assert (cost.ratio, cost.met, rate.ratio, rate.met) == (1.5, False, 1.5, True)
    assert rate.ours == 3.0 and cost.work["other"] == {"cpu": 3.0, "wall": 6.0, "tokens": 12}


def test_every_record_of_the_set_that_is_made_can_be_imported(tmp_path: Path) -> None:
    write_source(tmp_path / "source", 40, 6)
    made = import_source(tmp_path / "source", tmp_path / "set", ReadOptions(shares={"train": 0.5, "validation": 0.5}))
    assert made.records.total() == 40


def test_every_kind_of_page_is_there_for_the_run_that_is_written(tmp_path: Path) -> None:
    run = write_run(tmp_path, 64)
    app = create_app(CoordinatorSettings(broker_url="redis://127.0.0.1:1", home=tmp_path))

    async def pages(client: httpx2.AsyncClient) -> list[int]:
        queries = [make() for make in kinds(random.Random(1)).values()]
        return [(await client.get(f"/runs/{run}/responses?{query}")).status_code for query in queries]

    assert set(talk(app, pages)) == {200}
