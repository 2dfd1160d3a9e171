"""Who touches the worker's file: its event loop while it waits for task messages, a thread while it cannot.

The loop stands still while a step is in hand (the step has its own lease and time limits) and while the broker is away
(a restart would bring nothing); a thread beats for it then. So the file grows old only when an idle loop hangs, or when
the process is gone. `celery inspect ping` would ask the broker instead, and restart workers for the broker's faults.
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
    """The file of this process. It begins with the thread beating, since a worker begins without a broker."""

    def __init__(self, app: Celery) -> None:
        self._file = own_file()
        self._ended = False
        self._carried = threading.Event()
        self._carried.set()
        self.waiting_since: float | None = None
        """Since when the event loop has been waiting for a message, on the monotonic clock; None while it is not."""
        app.steps["consumer"].add(_turns_of(self))

    def start(self) -> None:
        collect(PREFIX)
        self.touch()
        threading.Thread(target=self._carry, name="pulse", daemon=True).start()

    def end(self) -> None:
        """Leave no file behind that would pass for a living worker."""
        self._ended = True
        self._carried.clear()
        self._file.unlink(missing_ok=True)

    def touch(self) -> None:
        if not self._ended:
            self._file.touch()

    def carry(self) -> None:
        """From here the thread beats."""
        self.waiting_since = None
        self._carried.set()

    def rest(self) -> None:
        """From here the event loop must."""
        self._carried.clear()
        self.waiting_since = time.monotonic()

    @contextmanager
    def carried(self) -> Iterator[None]:
        """Around work that keeps the event loop."""
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
