"""Ends a command on SIGTERM as on Ctrl-C: what it has started is stopped, and the exit code says which signal it was.

What this leaves out: SIGHUP and SIGKILL, after which the services that a command started are killed by the kernel.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TERMINATED = 128 + signal.SIGTERM
"""As shells report a program that SIGTERM ended."""


def stop_in_order() -> None:
    """From now on SIGTERM raises SystemExit in the main thread; without this it would leave services that were started.

    A second SIGTERM is ignored, so that it cannot cut off the stopping: who cannot wait sends SIGKILL.
    """
    signal.signal(signal.SIGTERM, _stop)


def _stop(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(TERMINATED)


@contextmanager
def told_when_stopped(line: str) -> Iterator[None]:
    """Where Ctrl-C or SIGTERM ends the block, say in a line what becomes of what it waited for."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        print(line, file=sys.stderr)
        raise
