"""Every service is told to stop in its first seconds, also as process 1 of a container, and ends at once."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import minivista
from warm_starts import COLD_PYTHON

pytestmark = [pytest.mark.system, pytest.mark.faults]

SERVICES = {
    "coordinator": ("mstar_coordinator",),
    "worker": ("mstar_coordinator", "worker", "--queues", "control,score"),
    "policy": ("mstar_policy",),
    "prm": ("mstar_prm",),
    "trainer": ("mstar_trainer",),
}
END_SECONDS = 8.0
"""A grace period is 10 s and more. What is in the middle of importing torch on a busy machine needs a while."""


def command_of(name: str, home: Path) -> tuple[list[str], dict[str, str]]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MSTAR_")}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    for prefix in ("COORDINATOR", "WORKER", "TRAINER"):
        environment[f"MSTAR_{prefix}_BROKER_URL"] = f"redis+socket://{home}/none.sock?virtual_host=0"
    for prefix in ("COORDINATOR", "WORKER", "TRAINER", "POLICY", "PRM"):
        environment[f"MSTAR_{prefix}_HOME"] = str(home)
    for prefix in ("COORDINATOR", "POLICY", "PRM"):
        environment[f"MSTAR_{prefix}_PORT"] = "0"
    environment["MSTAR_PRM_MODEL"] = environment["MSTAR_POLICY_MODEL"] = str(minivista.MODEL_FOLDER)
    return [COLD_PYTHON, "-m", *SERVICES[name]], environment


START_CPU_SECONDS = 0.5
"""What an interpreter needs to start, with room. Importing a service's libraries takes more."""


def await_handler(pid: int) -> None:
    """Wait until the process catches SIGTERM, which it must before it imports its libraries."""
    mask, deadline = 1 << (signal.SIGTERM - 1), time.monotonic() + 20
    while time.monotonic() < deadline:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        if int(next(line for line in lines if line.startswith("SigCgt")).split()[1], 16) & mask:
            used = psutil.Process(pid).cpu_times()
            assert used.user + used.system < START_CPU_SECONDS, "it imported its libraries first"
            return
        time.sleep(0.01)
    raise AssertionError("it never caught SIGTERM")


@pytest.mark.faults("SIGTERM 0.1 to 2 s after the start, as process 1, for each of five programs", "it ends at once")
@pytest.mark.skipif(sys.platform != "linux", reason="process 1 and /proc are Linux's")
@pytest.mark.parametrize("delay", [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_is_told_to_stop_early_ends_at_once(name: str, delay: float, tmp_path: Path) -> None:
    command, environment = command_of(name, tmp_path)
    unshare = shutil.which("unshare")
    if os.geteuid() != 0 or unshare is None:
        pytest.skip("a process 1 needs root and unshare")
    command = [unshare, "--pid", "--fork", "--kill-child", *command]
    with open(tmp_path / "log", "wb") as log, subprocess.Popen(command, env=environment, stderr=log) as outer:
        try:
            while not (children := psutil.Process(outer.pid).children()):
                time.sleep(0.01)
            await_handler(children[0].pid)
            time.sleep(delay)
            children[0].send_signal(signal.SIGTERM)
            code = outer.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{name} still ran {END_SECONDS:.0f} s after SIGTERM")
        finally:
            outer.kill()
    assert code in (0, 128 + signal.SIGTERM), (tmp_path / "log").read_text()[-2000:]


def test_the_handler_comes_without_heavy_imports() -> None:
    code = (
        "import sys, mstar.early_stop; sys.exit(any(name in sys.modules for name in ('pydantic', 'torch', 'httpx2')))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
