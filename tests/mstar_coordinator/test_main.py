"""The API as a real process: killed and started again, refused a second time on one home, stopped by SIGTERM."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from coordinator_bench import SMALL, commit_of
from mstar.api.steps import Claim
from mstar_embedded.ports import free_ports
from warm_starts import COLD_PYTHON

ROOT = Path(__file__).parents[2]


class Process:
    """One API process on a home folder and a port."""

    def __init__(self, home: Path, port: int) -> None:
        environment = {
            "PYTHONPATH": f"{ROOT / 'shared'}:{ROOT / 'services'}",
            "MSTAR_COORDINATOR_HOME": str(home),
            "MSTAR_COORDINATOR_PORT": str(port),
            "MSTAR_COORDINATOR_BROKER_URL": f"redis+socket://{home}/none.sock?virtual_host=0",
            "MSTAR_COORDINATOR_RESERVE_BYTES": "0",
        }
        self.child = subprocess.Popen(
            [COLD_PYTHON, "-m", "mstar_coordinator"], env=environment, stderr=subprocess.PIPE, text=True
        )
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{port}")

    def wait(self) -> "Process":
        end = time.monotonic() + 30
        while True:
            assert self.child.poll() is None and time.monotonic() < end, "the coordinator did not start"
            try:
                if self.http.get("/readyz").status_code == 200:
                    return self
            except httpx2.TransportError:
                time.sleep(0.05)

    def end(self, how: int) -> tuple[int, str]:
        """Exit code and standard error."""
        self.http.close()
        self.child.send_signal(how)
        _, errors = self.child.communicate(timeout=30)
        return self.child.returncode, errors


@pytest.fixture
def port() -> int:
    return free_ports().coordinator


@pytest.fixture
def process(tmp_path: Path, port: int) -> Iterator[Process]:
    process = Process(tmp_path, port).wait()
    yield process
    if process.child.poll() is None:
        process.end(signal.SIGKILL)


@pytest.mark.faults(
    "coordinator killed (SIGKILL) while a worker holds a step",
    "after its restart the lease holds, and the commit counts",
)
@pytest.mark.system
def test_a_run_outlives_its_coordinator(process: Process, tmp_path: Path, port: int) -> None:
    run = process.http.post("/v1/runs", json={"recipe": SMALL.model_dump(mode="json")}).json()
    step = process.http.get(f"/v1/runs/{run['id']}/steps").json()["data"][0]
    claimed = process.http.post(f"/internal/v1/steps/{step['id']}/claim", json={"worker": "w"})
    process.end(signal.SIGKILL)

    again = Process(tmp_path, port).wait()
    commit = commit_of(Claim.model_validate_json(claimed.content)).model_dump(mode="json")
    assert again.http.post(f"/internal/v1/steps/{step['id']}/commit", json=commit).status_code == 200
    assert again.http.get(f"/v1/runs/{run['id']}").json()["progress"]["steps_done"] == 1
    code, _ = again.end(signal.SIGTERM)
    assert code in (0, -signal.SIGTERM)


@pytest.mark.system
def test_a_second_process_on_one_home_says_so_in_one_line(process: Process, tmp_path: Path) -> None:
    second = Process(tmp_path, 0)
    _, errors = second.child.communicate(timeout=30)
    second.http.close()
    assert second.child.returncode == 1
    assert errors.startswith("another coordinator has mstar.sqlite open") and errors.count("\n") == 1
    assert process.http.get("/livez").status_code == 200


@pytest.mark.system
def test_a_missing_setting_is_named(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": f"{ROOT / 'shared'}:{ROOT / 'services'}", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [COLD_PYTHON, "-m", "mstar_coordinator"], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and "MSTAR_COORDINATOR_BROKER_URL" in done.stderr
    assert list(tmp_path.iterdir()) == []
