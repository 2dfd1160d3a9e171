"""A real worker under faults of a real broker: it lives, and takes the next step soon after."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from mstar.steps import Queue
from mstar_worker.app import make_celery, publish
from mstar_worker.serve import EXIT_DEAF
from step_board import Broker, StepBoard, broker

pytestmark = [pytest.mark.system, pytest.mark.faults]

SCRIPT = Path(__file__).with_name("patient_worker.py")
RECOVERY_SECONDS = 60


Fault = Callable[[Broker], object]


class Bench:
    """One worker process, its broker and its coordinator."""

    def __init__(self, queue: Broker, board: StepBoard, folder: Path, deaf_seconds: float = 60) -> None:
        self.queue, self.board, self.folder = queue, board, folder
        self._log = folder / "log"
        self._command = [sys.executable, SCRIPT, queue.url, board.url, folder, str(deaf_seconds)]
        self._app = make_celery(queue.url)
        self.worker = self._start()

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.kill()
        self.worker.wait()
        self._app.close()

    @property
    def said(self) -> str:
        return self._log.read_text()

    def restart(self) -> None:
        """Another worker in the place of this one."""
        self.worker.kill()
        self.worker.wait()
        self.worker = self._start()

    def begin(self, name: str) -> None:
        """Have the worker begin a step."""
        self.board.add(name)
        self._repeat(name, lambda: bool(self.board.steps[name].beats))

    def end(self, name: str) -> None:
        """Let a step in hand end, and be committed."""
        (self.folder / name).touch()
        self.board.wait(lambda steps: steps[name].commits)

    def do(self, name: str) -> None:
        """Have the worker do a step from its task message to its commit."""
        (self.folder / name).touch()
        self.board.add(name)
        self._repeat(name, lambda: bool(self.board.steps[name].commits))

    def publish(self, name: str) -> None:
        publish(self._app, Queue.CONTROL, name)

    def _start(self) -> "subprocess.Popen[bytes]":
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(self.folder)}
        with open(self._log, "ab") as log:
            return subprocess.Popen(self._command, env=environment, stdout=log, stderr=log)

    def _repeat(self, name: str, done: Callable[[], bool]) -> None:
        """Publish until it is done, but never twice at once, as the coordinator does."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while not done():
            assert self.worker.poll() is None, f"the worker ended: {self.said[-2000:]}"
            assert time.monotonic() < deadline, f"{name} did not happen: {self.said[-2000:]}"
            with contextlib.suppress(RedisError, KombuError, OSError):
                if self.queue.command("LLEN", Queue.CONTROL.value) == 0:
                    self.publish(name)
            time.sleep(0.5)


@pytest.fixture
def bench(board: StepBoard, tmp_path: Path) -> Iterator[Bench]:
    board.lease_seconds = 4
    with broker() as queue, Bench(queue, board, tmp_path) as bench:
        bench.do("first")
        yield bench


@pytest.mark.faults(
    "broker killed while a step ends, again and again in one run", "every step is committed, and the next one is taken"
)
@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_steps_that_end_while_the_broker_is_dead(bench: Bench, kills: int) -> None:
    for n in range(kills):
        bench.begin(f"in-hand-{n}")
        bench.queue.kill()
        bench.end(f"in-hand-{n}")
        time.sleep(0.5)
        bench.queue.start()
    bench.do("next")


@pytest.mark.faults(
    "broker accepts connections and answers nothing while steps end",
    "every step is committed, and the next one is taken",
)
@pytest.mark.slow
def test_steps_that_end_while_the_broker_is_silent(bench: Bench) -> None:
    """Once for each message that the worker might have been lent: a lost acknowledgement must not cost one for good."""
    for n in range((os.cpu_count() or 1) + 1):
        bench.begin(f"in-hand-{n}")
        with bench.queue.silent():
            bench.end(f"in-hand-{n}")
            time.sleep(6)
    bench.do("next")


@pytest.mark.faults("connections to the broker cut every 0.1 s", "the step is committed, and the next one is taken")
def test_connections_that_are_cut_all_the_time(bench: Bench) -> None:
    bench.begin("in-hand")
    for n in range(30):
        bench.queue.cut_connections()
        if n == 5:
            (bench.folder / "in-hand").touch()
        time.sleep(0.1)
    bench.do("next")


REFUSALS: dict[str, tuple[Fault, Fault]] = {
    "OOM": (
        lambda queue: queue.command("CONFIG", "SET", "maxmemory", "1"),
        lambda queue: queue.command("CONFIG", "SET", "maxmemory", "0"),
    ),
    "READONLY": (
        lambda queue: queue.command("REPLICAOF", "127.0.0.1", "9"),
        lambda queue: queue.command("REPLICAOF", "NO", "ONE"),
    ),
    "NOREPLICAS": (
        lambda queue: queue.command("CONFIG", "SET", "min-replicas-to-write", "1"),
        lambda queue: queue.command("CONFIG", "SET", "min-replicas-to-write", "0"),
    ),
    "NOAUTH": (
        lambda queue: (queue.command("CONFIG", "SET", "requirepass", "s"), queue.cut_connections("s")),
        lambda queue: queue.command("CONFIG", "SET", "requirepass", "", password="s"),
    ),
    "NOPERM": (
        lambda queue: queue.command("ACL", "SETUSER", "default", "-brpop"),
        lambda queue: queue.command("ACL", "SETUSER", "default", "+brpop"),
    ),
    "WRONGTYPE": (
        lambda queue: (queue.command("DEL", "control"), queue.command("SET", "control", "no list")),
        lambda queue: queue.command("DEL", "control"),
    ),
}
"""Reply of the broker → what brings it about, and what ends it."""


@pytest.mark.faults(
    "broker refuses: full, read-only, too few replicas, no password, no permission, wrong type of key",
    "the worker waits with a growing pause, and goes on",
)
@pytest.mark.slow
@pytest.mark.parametrize("reply", REFUSALS)
def test_a_broker_that_refuses_is_waited_out(bench: Bench, reply: str) -> None:
    begin, end = REFUSALS[reply]
    bench.begin("in-hand")
    begin(bench.queue)
    bench.end("in-hand")
    time.sleep(6)
    assert bench.worker.poll() is None, bench.said[-2000:]
    end(bench.queue)
    bench.do("next")
    assert "Unrecoverable error" not in bench.said


@pytest.mark.faults("broker refuses while a worker starts", "the worker waits, and takes the first step")
@pytest.mark.slow
def test_a_worker_that_starts_while_the_broker_refuses(bench: Bench) -> None:
    begin, end = REFUSALS["OOM"]
    begin(bench.queue)
    bench.restart()
    time.sleep(6)
    assert bench.worker.poll() is None, bench.said[-2000:]
    end(bench.queue)
    bench.do("next")


@pytest.mark.faults("a message that is not a task message", "it is dropped, and the next one is taken")
@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        "{}",
        '{"body": "e30=", "headers": {}, "properties": {}}',
        '{"body": 3, "headers": {"task": "mstar.control.advance", "id": "x"}, "properties": {"delivery_info": {}}}',
    ],
)
def test_a_message_that_is_none_is_passed_over(bench: Bench, message: str) -> None:
    bench.queue.command("LPUSH", "control", message)
    bench.do("next")


@pytest.mark.faults(
    "an idle worker takes nothing from a queue that is not empty", "it ends with code 75, to be started again"
)
def test_a_worker_that_takes_nothing_from_a_full_queue_leaves(board: StepBoard, tmp_path: Path) -> None:
    with broker() as queue, Bench(queue, board, tmp_path, deaf_seconds=2) as bench:
        bench.do("first")
        time.sleep(1)  # the step ends a little after its commit
        bench.worker.send_signal(signal.SIGUSR2)  # its event loop hangs
        board.add("waits")
        # The broker hands out the first one, since the worker has asked for it before.
        bench.publish("waits")
        bench.publish("waits")
        assert bench.worker.wait(timeout=60) == EXIT_DEAF
        assert "received none for" in bench.said
        assert not list(tmp_path.glob("*.alive"))
