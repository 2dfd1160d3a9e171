"""A real worker process on a real broker: hints are followed, deaths and restarts cost time only."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mstar.steps import Queue
from mstar_worker.app import make_celery, publish
from step_board import Broker, StepBoard, broker

pytestmark = pytest.mark.system

SCRIPT = Path(__file__).with_name("patient_worker.py")
Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture(scope="module")
def queue() -> Iterator[Broker]:
    with broker() as running:
        yield running


@pytest.fixture
def start(queue: Broker, board: StepBoard, tmp_path: Path) -> Iterator[Start]:
    """Starts worker processes, and ends those that are left."""
    processes: list[subprocess.Popen[bytes]] = []

    def one() -> "subprocess.Popen[bytes]":
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
        arguments = [sys.executable, SCRIPT, queue.url, board.url, tmp_path]
        with open(tmp_path / f"log-{len(processes)}", "wb") as log:
            processes.append(subprocess.Popen(arguments, env=environment, stdout=log, stderr=log))
        return processes[-1]

    yield one
    for process in processes:
        process.kill()
        process.wait()


def hint(queue: Broker, step_id: str) -> None:
    app = make_celery(queue.url)
    publish(app, Queue.CONTROL, step_id)
    app.close()


def committed(*names: str) -> Callable[[dict[str, object]], bool]:
    return lambda steps: all(steps[name].commits for name in names)  # type: ignore[attr-defined]


def claimed(name: str) -> Callable[[dict[str, object]], bool]:
    return lambda steps: bool(steps[name].beats)  # type: ignore[attr-defined]


def test_hints_are_followed_and_doubled_ones_change_nothing(
    queue: Broker, board: StepBoard, start: Start, tmp_path: Path
) -> None:
    start()
    for name in ("a", "b"):
        (tmp_path / board.add(name)).touch()
        hint(queue, name)
        hint(queue, name)
    board.wait(committed("a", "b"), 60)
    hint(queue, "a")
    (tmp_path / board.add("c")).touch()
    hint(queue, "c")
    board.wait(committed("c"))
    assert [len(board.steps[name].commits) for name in "abc"] == [1, 1, 1]
    assert {board.steps[name].epoch for name in "abc"} == {1}


@pytest.mark.faults("worker killed (SIGKILL) in a step", "its lease ends, and another worker does the step")
def test_a_killed_worker_loses_its_lease_and_another_finishes_the_step(
    queue: Broker, board: StepBoard, start: Start, tmp_path: Path
) -> None:
    first = start()
    hint(queue, board.add("killed"))
    board.wait(claimed("killed"), 60)
    first.send_signal(signal.SIGKILL)
    first.wait()
    (tmp_path / "killed").touch()
    start()
    time.sleep(board.lease_seconds)
    hint(queue, "killed")
    board.wait(committed("killed"), 60)
    assert [commit.epoch for commit in board.steps["killed"].commits] == [2]


def test_a_worker_told_to_stop_gives_its_step_back_and_leaves(queue: Broker, board: StepBoard, start: Start) -> None:
    worker = start()
    hint(queue, board.add("stopped"))
    board.wait(claimed("stopped"), 60)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=15) == 0
    (release,) = board.steps["stopped"].releases
    assert release.preempted


@pytest.mark.faults("broker killed and started again empty", "workers find it, and take what is sent again")
def test_a_broker_that_restarts_empty_is_found_again(
    queue: Broker, board: StepBoard, start: Start, tmp_path: Path
) -> None:
    start()
    (tmp_path / board.add("before")).touch()
    hint(queue, "before")
    board.wait(committed("before"), 60)
    queue.kill()
    time.sleep(0.5)
    queue.start()
    (tmp_path / board.add("after")).touch()
    hint(queue, "after")
    board.wait(committed("after"), 60)


def alive_file(folder: Path, worker: "subprocess.Popen[bytes]") -> Path:
    return folder / f"mstar-worker-{worker.pid}.alive"


def touched_again(file: Path, seconds: float = 15) -> bool:
    """Whether the file is touched within the time."""
    before, deadline = file.stat().st_mtime, time.monotonic() + seconds
    while time.monotonic() < deadline:
        if file.stat().st_mtime > before:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_a_worker_says_that_it_lives_while_it_waits_works_and_has_no_broker(
    queue: Broker, board: StepBoard, start: Start, tmp_path: Path
) -> None:
    worker = start()
    (tmp_path / board.add("first")).touch()
    hint(queue, "first")
    board.wait(committed("first"), 60)
    file = alive_file(tmp_path, worker)
    assert touched_again(file)  # by the event loop, since the thread rests
    hint(queue, board.add("long"))
    board.wait(claimed("long"), 60)
    assert touched_again(file)
    (tmp_path / "long").touch()
    board.wait(committed("long"))
    queue.kill()
    assert touched_again(file)
    queue.start()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=15) == 0
    assert not file.exists()


@pytest.mark.slow
def test_an_idle_worker_that_hangs_says_nothing(queue: Broker, board: StepBoard, start: Start, tmp_path: Path) -> None:
    worker = start()
    (tmp_path / board.add("before-hanging")).touch()
    hint(queue, "before-hanging")
    board.wait(committed("before-hanging"), 60)
    time.sleep(1)  # the step ends a little after its commit
    worker.send_signal(signal.SIGUSR2)
    assert not touched_again(alive_file(tmp_path, worker), 8)
