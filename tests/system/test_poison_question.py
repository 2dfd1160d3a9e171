"""A question that ends every worker by SIGKILL: it is found and left out, and the run goes on without it."""

import contextlib
import os
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from killing_policy import KillingPolicy
from mstar.api.runs import RunCreate
from mstar.client import Client, Endpoint
from mstar_embedded.ports import free_ports
from mstar_embedded.processes import stack
from mstar_embedded.supervisor import Supervisor
from small_run import SMALL

pytestmark = pytest.mark.system
SETTINGS = {"MSTAR_COORDINATOR_LEASE_SECONDS": "4", "MSTAR_COORDINATOR_REPUBLISH_SECONDS": "1"}
# The policy here answers nothing right, which would end the run as well.
OVERRIDES = SMALL | {"generation.least_solved": 0}
DONE = ("step.committed", "eval/base/test_id/0000")


@pytest.mark.faults(
    "a question that ends every worker by SIGKILL",
    "it is found, left out and named, and the step is committed without it",
)
def test_a_question_that_kills_every_worker_is_quarantined(tmp_path: Path) -> None:
    ports = free_ports()
    started: list[Supervisor] = []

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(started[0].pids()["worker-rollout"], signal.SIGKILL)

    with tempfile.TemporaryDirectory(prefix="mq") as folder, KillingPolicy(kill) as policy:
        broker = Path(folder) / "b.sock"
        wanted = ("broker", "coordinator", "worker-rollout", "worker-score")
        specs = [
            replace(one, env={**one.env, **SETTINGS, "MSTAR_WORKER_POLICY_URL": policy.url})
            for one in stack(tmp_path, ports, broker, broker.exists)
            if one.name in wanted
        ]
        with (
            Supervisor(tmp_path, ports, specs=specs) as supervisor,
            Client(Endpoint(url=ports.coordinator_url)) as client,
        ):
            started.append(supervisor)
            run_id = client.create_run(RunCreate(recipe="demo", overrides=OVERRIDES)).id
            deadline = time.monotonic() + 150
            while not any((one.type, one.step) == DONE for one in client.events(run_id, limit=500).data):
                assert time.monotonic() < deadline, client.events(run_id, limit=500).data[-5:]
                time.sleep(0.3)
            events = client.events(run_id, limit=500).data
            run, results = client.run(run_id), client.results(run_id)
            client.cancel(run_id)
    told = [one for one in events if one.type.startswith("question.")]
    assert [one.type for one in told] == ["question.suspected", "question.quarantined"]
    assert policy.kills == 4 and run.quarantined == 1
    (out,) = results.quarantined
    assert out.step.startswith("eval/base/") and "fell silent" in out.reason
