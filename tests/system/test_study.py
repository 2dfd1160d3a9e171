"""A study of two arms and one iteration through real processes: run in a home, shared, and reported from its files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mstar.study.record import parse_record

pytestmark = [pytest.mark.system, pytest.mark.slow]
STUDY = """
name: tiny
base: demo
changes:
  data: {train: 60, validation: 5, test_id: 20, test_ood: 10}
  generation: {shard_questions: 20}
  warmup: {questions: 20}
  evolution: {questions: 20, iterations: 1, n: 4, selection: {min_steps: 0}}
  prm: null
  exploration: {mode: fixed}
  evaluation: {n: 2, k: 2}
arms:
  all: {evolution: {selection: {mode: all}}}
  random-2: {evolution: {selection: {mode: random}}}
seeds: [3]
contrasts: [{a: random-2, b: all}, {a: all, b: warmup}]
"""


def mstar(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MSTAR_")}
    env |= {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "from mstar.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=900)


def test_a_study_runs_in_a_home_shares_its_warm_up_and_is_reported_from_its_files(tmp_path: Path) -> None:
    file, home, results = tmp_path / "tiny.yaml", tmp_path / "home", tmp_path / "results"
    file.write_text(STUDY)
    done = mstar("study", "run", file, "--home", home, "--results", results)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "of 2 runs ended · all · seed 3 · " in done.stderr
    files = sorted(results.iterdir())
    assert [path.name for path in files] == ["tiny--all--seed3.json", "tiny--random-2--seed3.json"]
    first, second = (parse_record(path.read_bytes(), path.name) for path in files)
    # The arms differ in what they select, so they have one warm-up and one first sampling.
    assert first.reused == 0 and second.reused >= 8
    assert first.policy("warmup") == second.policy("warmup")
    assert first.final.marks["test_id"].questions == 20
    assert first.cost.responses == second.cost.responses

    again = mstar("study", "run", file, "--home", home, "--results", results)
    assert again.returncode == 0 and "has its result file already" in again.stderr

    told = mstar("study", "report", file, "--results", results, "--out", tmp_path / "out", "--json")
    assert told.returncode == 0, told.stderr[-2000:]
    summary = json.loads(told.stdout)
    assert [(one["a"], one["b"]) for one in summary["pairs"]] == [("random-2", "all"), ("all", "warmup")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["study.csv", "study.html", "study.json"]
