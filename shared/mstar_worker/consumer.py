"""How a worker takes messages: without acknowledging them, and with a growing pause while the broker is in trouble.

What this leaves out: the first connection and one that is refused, which Celery itself repeats every 2 to 30 seconds.
"""

import time
from typing import Any

import structlog
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from celery.worker.state import maybe_shutdown

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
CALM_SECONDS = 30.0
"""After this long without an error the broker counts as healthy, and the next error starts with the first pause."""

log = structlog.get_logger()


class PatientConsumer(Consumer):  # type: ignore[misc]
    """Celery's consumer, which by itself would ask a broker that refuses commands five times a second."""

    _pause = 0.0
    _resumed = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What kombu raises about a malformed message. It is off the queue by then, so the consumer takes the next one.
        self.channel_errors: tuple[type[BaseException], ...] = (
            *self.conninfo.channel_errors,
            ValueError,
            TypeError,
            LookupError,
        )

    def on_connection_error_after_connected(self, exc: BaseException) -> None:
        """Called when a command failed or the connection broke; a new connection is made after this returns.

        Raises WorkerShutdown when a stop signal came meanwhile.
        """
        calm = time.monotonic() - self._resumed > CALM_SECONDS
        self._pause = FIRST_PAUSE if calm or not self._pause else min(2 * self._pause, LONGEST_PAUSE)
        log.warning("broker connection failed", detail=f"{type(exc).__name__}: {exc}", pause=self._pause)
        super().on_connection_error_after_connected(exc)
        until = time.monotonic() + self._pause
        while time.monotonic() < until:
            maybe_shutdown()
            time.sleep(0.1)
        self._resumed = time.monotonic()


class UnacknowledgedRequest(Request):  # type: ignore[misc]
    """A received message. Celery would acknowledge it although its queue is declared without acknowledgements."""

    def acknowledge(self) -> None:
        """Mark the message as done without telling the broker."""
        self.acknowledged = True

    def reject(self, requeue: bool = False) -> Any:
        """Mark the message as done; it is never put back, since the database repeats what is still due."""
        self.acknowledged = True
