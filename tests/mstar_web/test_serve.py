"""Tests of serving in a real process: a taken port, and SIGTERM while a request runs."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2

from mstar_embedded.ports import free_ports

SERVER = Path(__file__).with_name("slow_server.py")


def start(port: int, files: tuple[int, int] | None = None) -> subprocess.Popen[str]:
    """`files`: how many it may open at first, and at most."""
    limited = ["/bin/sh", "-c", f'ulimit -Sn {files[0]}; ulimit -Hn {files[1]}; exec "$@"', "sh"] if files else []
    return subprocess.Popen(
        [*limited, sys.executable, str(SERVER)],
        env={"PYTHONPATH": ":".join(sys.path), "MSTAR_BENCH_PORT": str(port), "PATH": ""},
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    return free_ports().coordinator


def wait_until_live(port: int) -> None:
    for _ in range(1200):
        try:
            httpx2.get(f"http://127.0.0.1:{port}/livez")
            return
        except httpx2.TransportError:
            time.sleep(0.05)
    raise AssertionError("the server did not start in a minute")


def test_more_callers_come_in_than_a_shell_grants_files_at_first() -> None:
    port = free_port()
    process = start(port, files=(64, 512))
    wait_until_live(port)
    with contextlib.ExitStack() as slow:
        for _ in range(200):
            slow.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)).sendall(
                b"GET /livez HTTP/1.1"
            )
        assert httpx2.get(f"http://127.0.0.1:{port}/livez").status_code == 200
    process.terminate()
    process.communicate(timeout=60)


def test_a_taken_port_is_told_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start(port)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.splitlines() == [f"port {port} is in use: stop what listens there, or set MSTAR_BENCH_PORT"]


def test_a_running_request_ends_before_the_server_does() -> None:
    port = free_port()
    process = start(port)
    wait_until_live(port)
    with httpx2.Client() as client, client.stream("GET", f"http://127.0.0.1:{port}/slow") as response:
        lines = response.iter_lines()
        assert next(lines) == "begun"
        process.send_signal(signal.SIGTERM)
        assert next(lines) == "done"
    process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGTERM)
