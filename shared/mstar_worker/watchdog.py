"""Ends an idle worker that receives no messages although its queues hold some, so that it is started again.

No known fault makes a worker deaf; this guards against unknown ones. A worker that does a step, or whose broker is
away or refuses commands, does not count as deaf. What this leaves out: who starts the worker again (the supervisor,
Compose or the kubelet).
"""

import threading
import time
from collections.abc import Callable

LOOK_SECONDS = 5.0
DEAF_SECONDS = 60.0


class Watchdog:
    """Checks every few seconds in a thread of its own."""

    def __init__(
        self,
        waiting_since: Callable[[], float | None],
        depth: Callable[[], int],
        leave: Callable[[str], None],
        limit: float = DEAF_SECONDS,
    ) -> None:
        """Watch a worker by three functions.

        `waiting_since`: since when the worker has been waiting for a message, on the monotonic clock; None while it is
        not waiting. `depth`: messages in its queues; raises while the broker does not answer. `leave`: ends the worker
        with a reason.
        """
        self._waiting_since = waiting_since
        self._depth = depth
        self._leave = leave
        self._limit = limit
        self._filled_since: float | None = None

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def look(self, now: float) -> None:
        """Check worker and queues once; `now` is on the monotonic clock."""
        since = self._waiting_since()
        depth = 0 if since is None else self._messages()
        if since is None or not depth:
            self._filled_since = None
            return
        # Counted from when messages were first seen: a queue that has just been filled is nobody's fault.
        if self._filled_since is None:
            self._filled_since = now
        deaf = now - max(since, self._filled_since)
        if deaf >= self._limit:
            self._leave(f"the queues hold {depth} task messages, and this idle worker received none for {deaf:.0f} s")

    def _messages(self) -> int:
        try:
            return self._depth()
        except Exception:
            # Whatever the broker's client raises, it means that the broker did not answer this time.
            return 0

    def _watch(self) -> None:
        while True:
            threading.Event().wait(min(LOOK_SECONDS, self._limit / 4))
            self.look(time.monotonic())
