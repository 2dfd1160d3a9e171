"""SIGTERM and Ctrl-C during a step: the step is given back at once instead of being finished.

Celery's own handler runs first and makes the worker exit after this task. What this leaves out: idle workers, which
Celery stops by itself.
"""

import signal
import threading
from types import FrameType
from typing import Any

from mstar.early_stop import end_now

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Preempted(BaseException):
    """The step is given back without counting as failed: the worker is stopping, or for the reason given.

    Not an Exception, so that no handler catches it as a failure of its work.
    """


class StopGuard:
    """While entered, a stop signal raises Preempted between `begin` and `end`, and is remembered otherwise.

    Signals reach the main thread only; in any other thread this does nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._working = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopGuard":
        if threading.current_thread() is threading.main_thread():
            # Python sets handlers in the main thread only.
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def begin(self) -> None:
        """From here a signal interrupts. Raises Preempted if one has come already."""
        self._working = True
        if self.asked:
            self.end()
            raise Preempted

    def end(self) -> None:
        """From here a signal is only remembered, so that a commit is not interrupted."""
        self._working = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        # Celery's handler, which ends the worker's loop after this task.
        before = self._before[signal.Signals(number)]
        # A handler that ends the process at once would prevent the release of the step.
        if callable(before) and before not in (signal.default_int_handler, end_now):
            before(number, frame)
        if self._working:
            # Once only: a second signal must not interrupt the release that follows.
            self._working = False
            raise Preempted
