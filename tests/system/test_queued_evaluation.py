"""`mstar eval --through-queue` with real processes: interrupted, its worker killed, and the result is undisturbed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mstar.client import Client, Endpoint
from mstar.http_json import Target
from mstar.judges import BENCHMARKS
from mstar_data.benchmarks import items_of
from mstar_embedded.ports import free_ports
from mstar_embedded.processes import stack
from mstar_embedded.supervisor import Supervisor
from mstar_eval.evaluation import complete, response_path
from mstar_eval.measuring import write_result
from mstar_eval.responses import ResponseFile, Settings, read_responses
from mstar_eval.results import EvaluationResult
from mstar_eval.services import ModelServices

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "tests" / "cases" / "benchmarks" / "published"
SETS = ("mathvista", "m3cot", "mmstar", "ai2d")
NEEDED = ("broker", "coordinator", "policy", "worker-rollout", "worker-score")
"""Processes of an evaluation without a PRM; `worker-score` does the control queue's steps as well."""
Stack = tuple[Supervisor, Client]


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Stack]:
    """The coordinator, one policy and their workers; data may lie anywhere in the repository."""
    home, ports = tmp_path / "runs", free_ports()
    own = {"MSTAR_COORDINATOR_DATA_ROOT": str(ROOT), "MSTAR_COORDINATOR_LEASE_SECONDS": "4"}
    endpoint = Endpoint(url=ports.coordinator_url, policy_url=ports.policy_url)
    with tempfile.TemporaryDirectory(prefix="mstar-") as folder:
        broker = Path(folder) / "b.sock"
        planned = [one for one in stack(home, ports, broker, broker.exists) if one.name in NEEDED]
        specs = [replace(one, env={**one.env, **own}) if one.name == "coordinator" else one for one in planned]
        with Supervisor(home, ports, specs=specs) as supervisor, Client(endpoint) as client:
            yield supervisor, client


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def command(client: Client, out: Path) -> list[str]:
    asked = ["eval", "builtin:minivista", "--through-queue", "--on", ",".join(SETS), "--data", str(PUBLISHED)]
    run = [sys.executable, "-c", "from mstar.cli import main; main()"]
    return [*run, *asked, "--samples", "2", "--max-tokens", "24", "--out", str(out), "--json"]


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.faults(
    "Ctrl-C in `mstar eval --through-queue`, and the rollout worker killed (SIGKILL) between two shards",
    "the same command goes on with the same evaluation, whose responses are those of an undisturbed one",
)
def test_a_killed_worker_changes_no_result(services: Stack, tmp_path: Path) -> None:
    supervisor, client = services
    environment = {**os.environ, "MSTAR_URL": client.endpoint.url}
    out = tmp_path / "out"
    with subprocess.Popen(command(client, out), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as one:
        until(lambda: bool(client.evaluations().data))
        one.send_signal(signal.SIGINT)
        one.communicate(timeout=60)
    assert one.returncode != 0
    (evaluation,) = client.evaluations().data
    until(lambda: client.evaluation(evaluation.id).progress.steps_done >= 2)
    os.kill(supervisor.pids()["worker-rollout"], signal.SIGKILL)

    again = subprocess.run(
        command(client, out), env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert again.returncode == 0, again.stderr
    assert [made.id for made in client.evaluations().data] == [evaluation.id], "the same command begins no second one"
    found = EvaluationResult.model_validate_json(again.stdout)
    ended = client.evaluation(evaluation.id)
    assert json.loads((out / "results.json").read_text()) == json.loads(again.stdout)
    with ModelServices(Target(client.endpoint.policy_url)) as policy:
        policy.weights()
        for name in SETS:
            shown = list(items_of(BENCHMARKS[name], PUBLISHED))
            settings: Settings = found.benchmarks[name].settings
            file = ResponseFile(response_path(tmp_path / "here", BENCHMARKS[name]), settings)
            complete(BENCHMARKS[name], shown, file, policy)
            rows = {row.id: row for row in read_responses(response_path(out, BENCHMARKS[name]))[1]}
            assert rows == file.rows, "what `mstar eval` samples of the same policy"
            own = write_result(BENCHMARKS[name], [one.item for one in shown], file, tmp_path / "here")
            assert own == found.benchmarks[name] and own.lines == ended.results[name].lines
