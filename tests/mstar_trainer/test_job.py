"""The Job of one train step as real processes: alone, on two nodes, and when the first node dies."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from chart_bench import named, render
from mstar.stages.train import TrainResult
from mstar_coordinator.cluster.workloads import filled
from mstar_embedded.ports import free_ports
from mstar_trainer.config import JobSettings
from mstar_trainer.job import await_claim
from mstar_worker.client import StepClient
from raw_server import RawServer, http
from step_board import StepBoard
from trainer_bench import GENTLE, Bench

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "trainer.Dockerfile"
PAIR = GENTLE.model_copy(update={"ranks": 2})


@pytest.fixture
def board() -> Iterator[StepBoard]:
    with StepBoard(lease_seconds=4) as board:
        yield board


def free_port() -> int:
    return free_ports().coordinator


def outside() -> dict[str, str]:
    """This machine's own variables, and where the code is."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MSTAR_")}
    return kept | {"PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT / 'services'}"}


def job(bench: Bench, board: StepBoard, node: int = 0, nodes: int = 1, port: int = 1) -> "subprocess.Popen[bytes]":
    """The container's own command, as the chart and the coordinator would set it up."""
    env = outside() | {
        "MSTAR_TRAINER_COORDINATOR_URL": board.url,
        "MSTAR_TRAINER_HOME": str(bench.home),
        "MSTAR_TRAINER_STEP": "train",
        "MSTAR_TRAINER_THREADS": "1",
    }
    if nodes > 1:
        env |= {
            "JOB_COMPLETION_INDEX": str(node),
            "MSTAR_TRAINER_NODES": str(nodes),
            "MSTAR_TRAINER_EPOCH": "1",
            "MSTAR_TRAINER_FIRST_NODE": "127.0.0.1",
            "MSTAR_TRAINER_PORT": str(port),
        }
    return subprocess.Popen([sys.executable, "-m", "mstar_trainer", "job"], env=env, start_new_session=True)


def committed(board: StepBoard) -> TrainResult:
    (commit,) = board.steps["train"].commits
    assert isinstance(commit.result, TrainResult)
    return commit.result


@pytest.mark.training
def test_a_job_does_its_step_and_ends(bench: Bench, board: StepBoard) -> None:
    bench.put_rows("data", bench.selected(9))
    board.add("train", bench.claim("it01/train", "data"))
    assert job(bench, board).wait(300) == 0
    assert committed(board).examples == 9
    assert job(bench, board).wait(300) == 0, "a second one finds nothing to do"
    assert len(board.steps["train"].commits) == 1


@pytest.mark.training
def test_the_job_of_the_chart_does_its_step(bench: Bench, board: StepBoard) -> None:
    """What the coordinator would create, with its own arguments and variables; only addresses are this machine's."""
    config = named(render({"trainer": {"gpus": 0}}), "ConfigMap")["demo-mstar-trainer-job"]
    made = filled(yaml.safe_load(config["data"]["trainer-job.yaml"]), "train-1", "train", 0)
    (container,) = made["spec"]["template"]["spec"]["containers"]
    here = {"/data": str(bench.home), "http://demo-mstar-coordinator:8400": board.url}
    given = {one["name"]: here.get(one.get("value"), one.get("value", "a secret")) for one in container["env"]}
    bench.put_rows("data", bench.selected(9))
    board.add("train", bench.claim("it01/train", "data"))
    entry = json.loads(re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE.read_text(), re.M)[-1])
    command = [sys.executable, *entry[1:], *container["args"]]
    assert subprocess.run(command, env=outside() | given, timeout=300).returncode == 0
    assert committed(board).examples == 9


@pytest.mark.slow
def test_two_nodes_train_as_one(bench: Bench, board: StepBoard) -> None:
    bench.put_rows("data", bench.selected(20))
    board.add("train", bench.claim("it01/train", "data"))
    assert job(bench, board).wait(300) == 0
    alone = committed(board)

    board.add("train", bench.claim("it02/train", "data", settings=PAIR))
    port = free_port()
    nodes = [job(bench, board, node, 2, port) for node in (0, 1)]
    assert [node.wait(300) for node in nodes] == [0, 0]
    pair = committed(board)
    assert (pair.examples, pair.steps, pair.tokens) == (alone.examples, alone.steps, alone.tokens)
    assert pair.first_loss == pytest.approx(alone.first_loss, rel=0.2)


@pytest.mark.slow
def test_a_node_ends_when_the_first_one_dies(bench: Bench, board: StepBoard) -> None:
    bench.put_rows("data", bench.selected(40))
    endless = PAIR.model_copy(update={"epochs": 100})
    board.add("train", bench.claim("it01/train", "data", settings=endless))
    port = free_port()
    first, second = (job(bench, board, node, 2, port) for node in (0, 1))
    board.wait(lambda steps: any(beat.done > 2 for beat in steps["train"].beats), 120)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    began = time.monotonic()
    assert second.wait(40) == 0
    assert time.monotonic() - began < 40
    assert board.steps["train"].commits == []


def test_ranks_that_nodes_cannot_share_fail_for_good(bench: Bench, board: StepBoard) -> None:
    bench.put_rows("data", bench.selected(3))
    board.add("train", bench.claim("it01/train", "data"))
    assert job(bench, board, 0, 2, free_port()).wait(300) == 0
    (release,) = board.steps["train"].releases
    assert not release.retryable and "choose a multiple of 2" in release.error


def test_several_nodes_must_know_the_first() -> None:
    with pytest.raises(ValidationError, match="first_node"):
        JobSettings(step="s", nodes=2)


@pytest.mark.parametrize(
    "answer",
    [
        http(200, b"<html>a proxy</html>", kind="text/html"),
        http(200, b"{}"),
        http(401, b'{"code": "unauthenticated", "detail": "no", "retry_after": "soon", "field": [1]}'),
        http(500, b"oops", kind="text/plain"),
        b"no http at all",
    ],
)
def test_whatever_answers_in_the_coordinator_s_place_ends_no_node_with_a_traceback(answer: bytes) -> None:
    with RawServer(answer) as server, closing(StepClient(server.url)) as client:
        assert await_claim("train", 1, client, seconds=0.3, pause=0.1) is None
        assert len(server.requests) > 1
