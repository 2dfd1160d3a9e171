"""Measures what a request for a run waits for when its data set has 360,000 records, and appends it to data_import.md.

    python -m benchmarks.data_admission [--records 360000] [--images 40000] [--seconds 180]

The first request looks at the records for as long as a request may. The next one stands for the step `prepare`, which
goes on from there; it is stopped after `--seconds`. Each split needs records, so 60,000 are the least.
"""

import argparse
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.data_import import HERE, write_source
from mstar.recipes import Recipe
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.dataset_check import open_looks
from mstar_coordinator.scheduler.data_admission import DataAdmission

HEADING = "## What a request waits for"


def measured(recipe: Recipe, home: Path, seconds: float) -> str:
    """A row of the table: what the admission says, and what it took."""
    began, used = time.monotonic(), _processor_seconds()
    said = DataAdmission(lambda: open_looks(home), time.monotonic, seconds, home).check(recipe)
    wall, processor = time.monotonic() - began, _processor_seconds() - used
    return f"| {said} | {wall:.1f} s | {processor:.0f} s | {_peak_mib():.0f} MiB |"


def _processor_seconds() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def _peak_mib() -> float:
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


def main() -> None:
    """Measure both and write them below the import's numbers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=360_000)
    parser.add_argument("--images", type=int, default=40_000)
    parser.add_argument("--seconds", type=float, default=180)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mstar-admission-"))
    try:
        write_source(folder / "source", given.records, given.images)
        few = given.records // 200
        sizes = {"train": given.records * 9 // 10, "validation": few, "test_id": few, "test_ood": 0}
        shares = {"train": 0.98, "validation": 0.01, "test_id": 0.01}
        recipe = Recipe.model_validate(
            {"name": "large", "data": {"source": str(folder / "source"), "split": shares, **sizes}}
        )
        allowed = CoordinatorSettings.model_fields["data_check_seconds"].default
        rows = [measured(recipe, folder / "home", seconds) for seconds in (allowed, given.seconds)]
    finally:
        shutil.rmtree(folder)
    section = "\n".join(
        (
            f"{HEADING}\n",
            f"`python -m benchmarks.data_admission` on {os.cpu_count()} cores shared with other work:",
            f"{given.records:,} records of the same set, by a request for a run then by what stands for `prepare`.\n",
            "| the answer | wall time | processor time | peak memory so far |\n|---|---|---|---|",
            *rows,
            "\nThe second number counts from the first record.\n",
        )
    )
    page = HERE / "data_import.md"
    page.write_text(f"{page.read_text().partition(HEADING)[0].rstrip()}\n\n{section}")
    print(section)


if __name__ == "__main__":
    main()
