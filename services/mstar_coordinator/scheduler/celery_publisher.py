"""Sends hints to the workers through Celery: the one place of the coordinator's API that knows it."""

from kombu import Connection
from kombu.exceptions import ChannelError, OperationalError

from mstar.errors import Unavailable
from mstar.steps import Queue
from mstar_worker.app import make_celery, publish


class CeleryPublisher:
    """A `Publisher` over the broker. Nothing is connected before the first hint."""

    def __init__(self, broker_url: str) -> None:
        self._app = make_celery(broker_url)
        self._asking: Connection | None = None

    def publish(self, queue: Queue, step_id: str) -> None:
        """Send one hint, without retries: the reconciler comes back."""
        try:
            publish(self._app, queue, step_id)
        except (OperationalError, OSError) as error:
            raise Unavailable(f"the broker can't be reached: {type(error).__name__}") from error

    def depth(self, queue: Queue) -> int:
        """Messages that no worker has taken yet."""
        # One connection for all questions, since making one costs more than asking.
        connection = self._asking = self._asking or self._app.connection_for_write()
        try:
            return int(connection.default_channel.queue_declare(queue=queue.value, passive=True).message_count)
        except ChannelError:
            return 0  # a queue that nothing was sent to is not there
        except (OperationalError, *connection.connection_errors) as error:
            self._hang_up()
            raise Unavailable(f"the broker can't be reached: {type(error).__name__}") from error

    def close(self) -> None:
        """Close all connections."""
        self._hang_up()
        self._app.close()

    def _hang_up(self) -> None:
        connection, self._asking = self._asking, None
        if connection is not None:
            connection.release()
