"""SIGTERM and Ctrl-C while a step is in hand: the step is given back at once instead of being worked to its end.

Celery's own handler runs first and makes the worker leave after this task. What this leaves out: idle workers, which
Celery stops alone.
"""

import signal
import threading
from types import FrameType
from typing import Any

from mstar.early_stop import end_now

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Preempted(BaseException):
    """The step is given back unharmed, because the worker was told to stop or for the reason given.

    Not an Exception, so that no handler takes it for a failure of its work.
    """


class StopGuard:
    """While entered, a stop signal raises Preempted inside `working` and is remembered outside of it.

    Signals reach the main thread only; in any other thread this does nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._working = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopGuard":
        if threading.current_thread() is threading.main_thread():
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
        """From here a signal is only remembered, so that a commit is not torn."""
        self._working = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        before = self._before[signal.Signals(number)]
        # What ends a process at once would keep the step from being given back.
        if callable(before) and before not in (signal.default_int_handler, end_now):
            before(number, frame)
        if self._working:
            self._working = False
            raise Preempted
