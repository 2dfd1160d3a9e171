"""Sends task messages to the workers through Celery: the one place of the coordinator's API that knows it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu import Connection
from kombu.exceptions import ChannelError, OperationalError
from redis.exceptions import RedisError, ResponseError

from mstar.errors import Unavailable
from mstar.steps import Queue
from mstar_worker.app import make_celery, publish

PROBE_KEY, PROBE_SECONDS = "mstar.probe", 60
"""Written to see whether the broker takes messages: one that is full or a replica answers questions all the same."""


class CeleryPublisher:
    """A `Publisher` over the broker. Nothing is connected before the first message."""

    def __init__(self, broker_url: str) -> None:
        self._app = make_celery(broker_url)
        # Each is for one thread: a check that hangs must not hold up what is sent.
        self._asking, self._probing = _Line(self._app), _Line(self._app)

    def publish(self, queue: Queue, step_id: str) -> None:
        """Send one task message, without retries: the reconciler comes back. Raises Unavailable with the reason."""
        with _translated():
            publish(self._app, queue, step_id)

    def depth(self, queue: Queue) -> int:
        """Messages that no worker has taken yet. Raises Unavailable with the reason."""
        with self._asking.channel() as channel:
            try:
                return int(channel.queue_declare(queue=queue.value, passive=True).message_count)
            except ChannelError:
                return 0  # a queue that nothing was sent to is not there

    def check(self) -> None:
        """Raise Unavailable with the reason when the broker would not take a message now."""
        with self._probing.channel() as channel:
            channel.client.set(PROBE_KEY, "", ex=PROBE_SECONDS)

    def close(self) -> None:
        """Close all connections."""
        self._asking.hang_up()
        self._probing.hang_up()
        self._app.close()


class _Line:
    """One connection for many questions, since making one costs more than asking; a new one after any trouble."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection: Connection | None = None

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """The channel to ask through. Raises Unavailable with the reason."""
        self._connection = self._connection or self._app.connection_for_write()
        try:
            with _translated():
                yield self._connection.default_channel
        except Unavailable:
            self.hang_up()
            raise

    def hang_up(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, RedisError, OSError) as error:
        # Celery wraps what the client raised.
        cause = error.__cause__ or error
        if isinstance(cause, ResponseError):
            # Such as OOM, READONLY, MISCONF or NOPERM: it answers, and takes no message.
            raise Unavailable(f"the broker refuses task messages: {str(cause)[:200]}") from error
        raise Unavailable(f"the broker can't be reached: {type(cause).__name__}") from error
