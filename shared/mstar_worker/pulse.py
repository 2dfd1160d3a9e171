"""Keeps the worker's liveness file fresh: from its event loop while that is idle, from a thread while it is busy.

The loop does not run during a step (which has its own lease and time limits) or while the broker is away (a restart
would not help); a thread touches the file then. So the file grows old only when an idle loop hangs or the process is
gone. `celery inspect ping` would ask the broker instead, and restart workers for the broker's faults.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery, bootsteps

from mstar.leftovers import collect
from mstar_worker.alive import BEAT_SECONDS, PREFIX, own_file


class Pulse:
    """The liveness file of this process. The thread touches it first, since a worker starts without a broker."""

    def __init__(self, app: Celery) -> None:
        self._file = own_file()
        self._ended = False
        self._carried = threading.Event()
        self._carried.set()
        self.waiting_since: float | None = None
        """Since when the event loop has been waiting for a message, on the monotonic clock; None while it is not."""
        app.steps["consumer"].add(_turns_of(self))

    def start(self) -> None:
        """Remove the files of dead workers, make this one's, and start the thread."""
        collect(PREFIX)
        self.touch()
        threading.Thread(target=self._carry, name="pulse", daemon=True).start()

    def end(self) -> None:
        """Remove the file, so that this process does not pass for a living worker."""
        self._ended = True
        self._carried.clear()
        self._file.unlink(missing_ok=True)

    def touch(self) -> None:
        """Set the file's time to now; nothing after `end`."""
        if not self._ended:
            self._file.touch()

    def carry(self) -> None:
        """From here the thread touches the file."""
        self.waiting_since = None
        self._carried.set()

    def rest(self) -> None:
        """From here the event loop has to touch it."""
        self._carried.clear()
        self.waiting_since = time.monotonic()

    @contextmanager
    def carried(self) -> Iterator[None]:
        """Context for work that blocks the event loop."""
        self.carry()
        try:
            yield
        finally:
            self.touch()
            self.rest()

    def _carry(self) -> None:
        while True:
            self._carried.wait()
            self.touch()
            threading.Event().wait(BEAT_SECONDS)


def _turns_of(pulse: Pulse) -> type[Any]:
    """A step of Celery's consumer: started when the broker is there, stopped when it is lost."""

    class Turns(bootsteps.StartStopStep):  # type: ignore[misc]
        requires = ("celery.worker.consumer.tasks:Tasks",)
        _beats: Any = None

        def start(self, consumer: Any) -> None:
            self._beats = consumer.timer.call_repeatedly(BEAT_SECONDS, pulse.touch)
            pulse.rest()

        def stop(self, consumer: Any) -> None:
            # Also called when the broker was never there.
            if self._beats is not None:
                self._beats.cancel()
            pulse.carry()

        shutdown = stop

    return Turns
