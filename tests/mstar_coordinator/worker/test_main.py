"""The coordinator's worker as a process: it does a real step, and says in one line why it can't start."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mstar.recipes import parse_recipe
from mstar.steps import Queue
from mstar_artefacts.store import ArtefactStore
from mstar_worker.app import make_celery, publish
from step_board import StepBoard, broker

SMALL = parse_recipe(
    {
        "name": "small",
        "data": {"train": 4, "validation": 2, "test_id": 2, "test_ood": 0},
        "warmup": {"questions": 4},
        "prm": {"questions": 4, "own_questions": False},
        "evolution": {"questions": 4},
        "exploration": {"questions": 2},
    }
)


def start(log: Path, queues: str, **variables: str) -> "subprocess.Popen[bytes]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MSTAR_")}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path)} | variables
    command = [sys.executable, "-m", "mstar_coordinator", "worker", "--queues", queues]
    with open(log, "wb") as out:
        return subprocess.Popen(command, env=environment, stdout=out, stderr=out)


@pytest.mark.system
def test_a_worker_prepares_a_run_from_a_hint(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with broker() as queue, StepBoard(lease_seconds=30, recipe=SMALL) as board:
        app = make_celery(queue.url)
        publish(app, Queue.CONTROL, board.add("prepare"))
        app.close()
        worker = start(
            log,
            "control,score",
            MSTAR_WORKER_BROKER_URL=queue.url,
            MSTAR_WORKER_COORDINATOR_URL=board.url,
            MSTAR_WORKER_HOME=str(tmp_path),
        )
        try:
            board.wait(lambda steps: steps["prepare"].commits, 120)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(timeout=15) == 0
        finally:
            worker.kill()
            worker.wait()
    (commit,) = board.steps["prepare"].commits
    assert commit.artefact is not None
    assert (ArtefactStore(tmp_path).verify(commit.artefact) / "questions" / "train.jsonl.gz").is_file()
    assert "step committed" in log.read_text()


@pytest.mark.parametrize(
    ("queues", "variables", "message"),
    [
        ("control,tarin", {}, "--queues control,tarin: choose from control, rollout, score"),
        ("control", {}, "MSTAR_WORKER_BROKER_URL: Field required"),
        ("control", {"MSTAR_WORKER_BROKER_URL": "memory://", "MSTAR_WORKER_HOEM": "x"}, "unknown setting"),
    ],
)
def test_what_cannot_start_says_why_in_one_line(
    tmp_path: Path, queues: str, variables: dict[str, str], message: str
) -> None:
    log = tmp_path / "log"
    assert start(log, queues, **variables).wait(timeout=60) == 1
    assert message in log.read_text()
    assert len(log.read_text().splitlines()) == 1
