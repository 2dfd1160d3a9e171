"""The scripts of `examples/`, each as a process of its own against the whole stack."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minivista.loader import load_split
from mstar_embedded.ports import Ports, free_ports
from mstar_embedded.supervisor import Supervisor
from small_run import TESTED

pytestmark = [pytest.mark.system, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
SMALLEST = TESTED | {"evolution.iterations": 1, "exploration.mode": "fixed"}


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    """Where the stack listens."""
    ports = free_ports()
    with Supervisor(tmp_path_factory.mktemp("home"), ports):
        yield ports


def test_the_examples_run_one_after_the_other(ports: Ports, tmp_path: Path) -> None:
    settings = [f"{name}={json.dumps(value)}" for name, value in SMALLEST.items()]
    assert "final: " in run_example(ports, "start_and_follow.py", "demo", *settings)

    question, picture = next(load_split("test_id", 1))
    (tmp_path / "picture.png").write_bytes(picture)
    answers = tmp_path / "answers.jsonl"
    responses = ["2 + 3 = 5\n\n## Answer\n\n5", "It looks like 7.\n\n## Answer\n\n7"]
    answers.write_text(
        json.dumps({"images": ["picture.png"], "question": question.text, "responses": responses}) + "\n"
    )
    best = json.loads(run_example(ports, "score_file.py", str(answers)))
    assert best["best"] in responses
    *steps, _answer = best["steps"]
    assert min(steps) == pytest.approx(best["score"], abs=1e-3)

    said = run_example(ports, "best_of_n.py", str(tmp_path / "picture.png"), question.text, "4")
    assert "best of" in said


def run_example(ports: Ports, script: str, *arguments: str) -> str:
    """Standard output of an example that ended well."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MSTAR_")}
    env |= {"MSTAR_URL": ports.coordinator_url, "MSTAR_PRM_URL": ports.prm_url, "MSTAR_POLICY_URL": ports.policy_url}
    command = [sys.executable, ROOT / "examples" / script, *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
