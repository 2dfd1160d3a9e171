"""Health of broker, database and the rest: each is checked in its own thread with its own time limit.

So one that hangs hides no other, and `/readyz` names it within seconds, whatever a request or the reconciler waits for.
"""

import time
from collections.abc import Callable, Mapping
from threading import Event, Thread

import structlog

from mstar.errors import MstarError

INTERVAL_SECONDS = 1.0
LIMIT_SECONDS = 3.0
"""After this long without an answer a dependency counts as hanging."""

_log = structlog.get_logger(__name__)


class _Watch:
    """One dependency."""

    def __init__(self, name: str, check: Callable[[], None], stopping: Event, limit: float, interval: float) -> None:
        self._name, self._check = name, check
        self._stopping, self._limit, self._interval = stopping, limit, interval
        self._asked: float | None = None
        """Since when an answer is awaited, on the monotonic clock."""
        self._found: str | None = None
        self.thread = Thread(target=self._run, name=f"check {name}", daemon=True)

    @property
    def problem(self) -> str | None:
        # Read once, since the thread may set it to None between two looks.
        asked = self._asked
        waited = 0.0 if asked is None else time.monotonic() - asked
        return f"{self._name} has not answered for {waited:.0f} s" if waited > self._limit else self._found

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._asked = time.monotonic()
            self._found = self._ask()
            self._asked = None
            self._stopping.wait(self._interval)

    def _ask(self) -> str | None:
        try:
            self._check()
        except MstarError as error:
            return error.detail
        except Exception as error:
            _log.exception("a check failed", dependency=self._name)
            return f"{self._name}: unexpected {type(error).__name__}; see the log"
        return None


class Dependencies:
    """Watches them from `start` to `stop`."""

    def __init__(
        self,
        checks: Mapping[str, Callable[[], None]],
        limit_seconds: float = LIMIT_SECONDS,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        """`checks`: by name, what asks it; raises an error of `mstar.errors` that says what is wrong."""
        self._stopping = Event()
        self._watches = [
            _Watch(name, check, self._stopping, limit_seconds, interval_seconds) for name, check in checks.items()
        ]

    def start(self) -> None:
        """Begin to ask."""
        for watch in self._watches:
            watch.thread.start()

    def stop(self) -> None:
        """End the threads; one that hangs is left behind, and does nothing any more."""
        self._stopping.set()
        for watch in self._watches:
            if watch.thread.ident is not None:
                watch.thread.join(0.5)

    @property
    def problems(self) -> list[str]:
        """What does not work now; never waits."""
        return [problem for watch in self._watches if (problem := watch.problem) is not None]
