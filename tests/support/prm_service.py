"""The PRM service as a process on a free port."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from mstar_embedded.ports import free_ports
from warm_starts import COLD_PYTHON


def environment(**settings: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MSTAR_")}
    return kept | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | settings


@contextmanager
def service(folder: Path, pid: list[int] | None = None, **settings: str) -> Iterator[str]:
    """A running service's address; at the end it has to stop by itself. Its process id goes into `pid`."""
    port = free_ports().prm
    # Whoever asks for the process id looks at the process itself, not at what stands for it.
    command = [sys.executable if pid is None else COLD_PYTHON, "-m", "mstar_prm"]
    env = environment(MSTAR_PRM_PORT=str(port), MSTAR_PRM_MODEL=str(folder), **settings)
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _await_ready(f"http://127.0.0.1:{port}", process)
            if pid is not None:
                pid.append(process.pid)
            yield f"http://127.0.0.1:{port}"
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) in (0, -signal.SIGTERM)
        finally:
            process.kill()


def _await_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx2.get(f"{url}/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("the service did not become ready in three minutes")
