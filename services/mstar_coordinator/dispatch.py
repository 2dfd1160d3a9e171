"""Sends hints to the workers through Celery: the one place of the coordinator's API that knows it."""

from kombu.exceptions import ChannelError, OperationalError

from mstar.errors import Unavailable
from mstar.steps import TASK_NAMES, Queue
from mstar_worker.app import make_celery


class CeleryPublisher:
    """A `Publisher` over the broker. Nothing is connected before the first hint."""

    def __init__(self, broker_url: str) -> None:
        self._app = make_celery(broker_url, tuple(Queue))

    def publish(self, queue: Queue, step_id: str) -> None:
        """Send one hint, without retries: the reconciler comes back."""
        try:
            self._app.send_task(TASK_NAMES[queue], args=[step_id], queue=queue.value, retry=False, ignore_result=True)
        except (OperationalError, OSError) as error:
            raise Unavailable(f"the broker can't be reached: {type(error).__name__}") from error

    def depth(self, queue: Queue) -> int:
        """Messages that no worker has taken yet."""
        try:
            with self._app.connection_for_write() as connection, connection.channel() as channel:
                return int(channel.queue_declare(queue=queue.value, passive=True).message_count)
        except ChannelError:
            return 0  # a queue that nothing was sent to is not there
        except (OperationalError, OSError) as error:
            raise Unavailable(f"the broker can't be reached: {type(error).__name__}") from error

    def close(self) -> None:
        """Close the connections of the pool."""
        self._app.close()
