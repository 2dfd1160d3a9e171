"""Ends a process that receives SIGTERM before it can shut down cleanly.

A service installs its own handlers after importing its libraries, which takes seconds. In a container it is process 1,
for which the kernel ignores SIGTERM until a handler is there: an early `docker stop` would take its whole grace period.
Nothing is imported here but `os` and `signal`.
"""

import os
import signal
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def end_on_stop_signals() -> None:
    """Install the handler. Call it first of all; whoever stops in good order replaces it later."""
    for number in STOP_SIGNALS:
        signal.signal(number, end_now)


def end_now(number: int, frame: FrameType | None) -> None:
    """A signal handler: end as the signal's default action would, which process 1 does not have."""
    # The default action, so that whoever waits for this process sees a death by signal and not an exit code.
    if os.getpid() != 1:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    os._exit(128 + number)
