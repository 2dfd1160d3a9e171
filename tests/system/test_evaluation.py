"""`mstar eval` with a real policy and a real PRM, started for the evaluation alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "tests" / "cases" / "benchmarks" / "published"
pytestmark = [pytest.mark.system, pytest.mark.slow]


def evaluated(*options: str, out: Path) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable,
        "-c",
        "from mstar.cli import main; main()",
        "eval",
        "builtin:minivista",
        "--data",
        str(PUBLISHED),
    ]
    return subprocess.run(
        [*command, "--out", str(out), "--limit", "1", "--max-tokens", "24", *options],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def test_five_benchmarks_end_to_end_and_again_without_a_model(tmp_path: Path) -> None:
    done = evaluated("--json", out=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["benchmarks"]
    assert {name: one["items"] for name, one in results.items()} == {
        "mathvista": 5, "m3cot": 3, "mmstar-r": 4, "mmbench-r": 10, "ai2d": 1,
    }  # fmt: skip
    assert all(one["refused"] == 0 for one in results.values())
    logs = sorted((tmp_path / ".mstar" / "logs").iterdir())
    sizes = [log.stat().st_size for log in logs]
    again = evaluated("--json", out=tmp_path)
    assert json.loads(again.stdout)["benchmarks"] == results
    assert [log.stat().st_size for log in logs] == sizes, "a finished evaluation starts no service"
    other = evaluated("--seed", "1", out=tmp_path)
    assert other.returncode == 1 and "choose another --out" in other.stderr and "Traceback" not in other.stderr
