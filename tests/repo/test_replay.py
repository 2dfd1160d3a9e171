"""Every Dockerfile replayed without an engine, up to its own health check passing on the process it starts.

The tree of the image cannot be written meanwhile, and at SIGTERM the process ends in order.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dockerfile_bench import BROUGHT, Replay, instructions
from mstar_embedded.ports import free_ports

NEEDED = {
    "policy": {"MSTAR_POLICY_INTERNAL_KEY": "a", "MSTAR_POLICY_WEIGHTS_ADMIN_KEY": "b"},
    "prm": {"MSTAR_PRM_INTERNAL_KEY": "a", "MSTAR_PRM_WEIGHTS_ADMIN_KEY": "b", "MSTAR_PRM_SCORE_KEY": "c"},
    "trainer": {"MSTAR_TRAINER_BROKER_URL": "redis://127.0.0.1:9/0", "MSTAR_TRAINER_INTERNAL_KEY": "a"},
    "coordinator": {
        "MSTAR_COORDINATOR_BROKER_URL": "redis://127.0.0.1:9/0",
        "MSTAR_COORDINATOR_RUN_ADMIN_KEY": "a",
        "MSTAR_COORDINATOR_INTERNAL_KEY": "b",
    },
}
"""What the image leaves to whoever runs it. The queue is away: neither start nor health may depend on it.

In an order in which few packages are removed and installed again.
"""
WORKER = {"MSTAR_WORKER_BROKER_URL": "redis://127.0.0.1:9/0", "MSTAR_WORKER_INTERNAL_KEY": "a"}


def free_port() -> int:
    return free_ports().coordinator


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A folder that any user may enter, which pytest's own are not. The images share what they install in it."""
    with tempfile.TemporaryDirectory(prefix="mstar-replay-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "root"


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("service", NEEDED)
def test_the_image_starts_and_passes_its_own_health_check(service: str, root: Path) -> None:
    replay = Replay(root, service)
    replay.build()
    assert len(replay.left_out) == 1 and replay.user == (10001, 10001)
    assert replay.installed() - replay.pinned() <= BROUGHT and replay.pinned() <= replay.installed()
    more = dict(NEEDED[service])
    health = list(replay.health)
    baked = f"MSTAR_{service.upper()}_PORT"
    if baked in replay.environment:
        port = str(free_port())
        more |= {baked: port, f"MSTAR_{service.upper()}_HOST": "127.0.0.1"}
        health = [part.replace(f":{replay.environment[baked]}/", f":{port}/") for part in health]
        assert health != replay.health
    _starts_and_ends(replay, replay.entrypoint, health, more, worker=service == "trainer")
    if service == "coordinator":
        worker = [*replay.entrypoint, "worker", "--queues", "rollout"]
        _starts_and_ends(replay, worker, ["python", "-m", "mstar_worker.alive"], WORKER, worker=True)
    assert replay.written() == []


def _starts_and_ends(
    replay: Replay, command: Sequence[str], health: Sequence[str], more: dict[str, str], *, worker: bool
) -> None:
    said = replay.root.parent / "log"
    with open(said, "wb") as log:
        process = replay.start(command, more, stdout=log, stderr=log)

    def ready() -> bool:
        # A health check is a process of its own: before the program has said that it works, it would only fail.
        # A worker says that it lives before it takes over the signals; then it looks for its queue.
        if ("Cannot connect to redis" if worker else "Application startup complete") not in said.read_text():
            return False
        asked = replay.start(health, more, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return asked.wait(60) == 0

    try:
        # What it imports is compiled meanwhile, on a machine that does other things as well.
        deadline = time.monotonic() + 300
        while not ready():
            assert process.poll() is None and time.monotonic() < deadline, said.read_text()[-2000:]
            time.sleep(0.5)
        process.terminate()
        code = process.wait(30)
    finally:
        process.kill()
        process.wait()
    # A worker leaves by itself. uvicorn drains, says so, and then ends by the signal that it got.
    expected, farewell = (0, "Warm shutdown") if worker else (-signal.SIGTERM, "Finished server process")
    assert (code, farewell in said.read_text()) == (expected, True), said.read_text()[-2000:]


def test_steps_are_read_as_an_engine_reads_them() -> None:
    text = 'ARG BASE=x\n# a comment\nRUN a \\\n    && b\n  # another\nENV A=1 \\\n    B=2\nENTRYPOINT ["c"]\n'
    assert instructions(text) == [("ARG", "BASE=x"), ("RUN", "a && b"), ("ENV", "A=1 B=2"), ("ENTRYPOINT", '["c"]')]
    assert sys.version_info[:2] == (3, 11)  # as in the base images, which the locks are made for
