"""Every Dockerfile replayed without an engine, up to its own health check passing on the process it starts.

The coordinator's runs with all tests; the model services' images take gigabytes and minutes:
`MSTAR_REPLAY=1 pytest tests/repo/test_replay.py`.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from dockerfile_bench import Replay, instructions

LARGE = pytest.mark.skipif("MSTAR_REPLAY" not in os.environ, reason="MSTAR_REPLAY=1 replays the model services' images")
NEEDED = {
    "coordinator": {
        "MSTAR_COORDINATOR_BROKER_URL": "redis://127.0.0.1:9/0",
        "MSTAR_COORDINATOR_RUN_ADMIN_KEY": "a",
        "MSTAR_COORDINATOR_INTERNAL_KEY": "b",
    },
    "policy": {"MSTAR_POLICY_INTERNAL_KEY": "a", "MSTAR_POLICY_WEIGHTS_ADMIN_KEY": "b"},
    "prm": {"MSTAR_PRM_INTERNAL_KEY": "a", "MSTAR_PRM_WEIGHTS_ADMIN_KEY": "b", "MSTAR_PRM_SCORE_KEY": "c"},
    "trainer": {"MSTAR_TRAINER_BROKER_URL": "redis://127.0.0.1:9/0", "MSTAR_TRAINER_INTERNAL_KEY": "a"},
}
"""What the image leaves to whoever runs it. The queue is away: neither start nor health may depend on it."""
WORKER = {"MSTAR_WORKER_BROKER_URL": "redis://127.0.0.1:9/0", "MSTAR_WORKER_INTERNAL_KEY": "a"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize(
    "service", ["coordinator", *(pytest.param(one, marks=LARGE) for one in ("policy", "prm", "trainer"))]
)
def test_the_image_starts_and_passes_its_own_health_check(service: str, tmp_path: Path) -> None:
    replay = Replay(tmp_path / "root", service)
    replay.build()
    assert len(replay.left_out) == 1
    more = dict(NEEDED[service])
    health = list(replay.health)
    baked = f"MSTAR_{service.upper()}_PORT"
    if baked in replay.environment:
        port = str(free_port())
        more |= {baked: port, f"MSTAR_{service.upper()}_HOST": "127.0.0.1"}
        health = [part.replace(f":{replay.environment[baked]}/", f":{port}/") for part in health]
        assert health != replay.health
    _starts_and_ends(replay, replay.entrypoint, health, more)
    if service == "coordinator":
        worker = [*replay.entrypoint, "worker", "--queues", "rollout"]
        _starts_and_ends(replay, worker, ["python", "-m", "mstar_worker.alive"], WORKER)


def _starts_and_ends(replay: Replay, command: Sequence[str], health: Sequence[str], more: dict[str, str]) -> None:
    environment, said = replay.variables(more), replay.root.parent / "log"
    with open(said, "wb") as log:
        process = subprocess.Popen(
            replay.command(command), env=environment, cwd=replay.root / "data", stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 120
        while subprocess.run(replay.command(health), env=environment, capture_output=True).returncode != 0:
            assert process.poll() is None and time.monotonic() < deadline, said.read_text()[-2000:]
            time.sleep(0.3)
        process.terminate()
        assert process.wait(30) in (0, -15), said.read_text()[-2000:]
    finally:
        process.kill()
        process.wait()


def test_steps_are_read_as_an_engine_reads_them() -> None:
    text = 'ARG BASE=x\n# a comment\nRUN a \\\n    && b\n  # another\nENV A=1 \\\n    B=2\nENTRYPOINT ["c"]\n'
    assert instructions(text) == [("ARG", "BASE=x"), ("RUN", "a && b"), ("ENV", "A=1 B=2"), ("ENTRYPOINT", '["c"]')]
    assert sys.version_info[:2] == (3, 11)  # as in the base images, which the locks are made for
