"""How long values have been unchanged, by this process's monotonic clock.

What ends by a time limit (a lease, a task message that was lost) is never compared with a time of day: machines
disagree on that, and it jumps. The database holds a value that changes with every sign of life, and each coordinator
measures for how long it has not seen that value change. A coordinator that has just started has seen nothing yet, so
everybody has the whole limit from then on.
"""

from collections.abc import Callable, Collection, Hashable
from threading import Lock


class Stillness:
    """Since when each key has had its value. Thread-safe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._clock = clock
        self._lock = Lock()
        self._since: dict[str, tuple[Hashable, float]] = {}

    def seconds(self, key: str, value: Hashable) -> float:
        """For how long the key has had this value; 0 where it is new, which begins the measurement."""
        now = self._clock()
        with self._lock:
            seen, since = self._since.get(key, (None, now))
            if key not in self._since or seen != value:
                self._since[key] = (value, now)
                return 0.0
            return now - since

    def restart(self, key: str, value: Hashable) -> None:
        """Begin to measure now, whatever the value was before."""
        with self._lock:
            self._since[key] = (value, self._clock())

    def keep(self, keys: Collection[str]) -> None:
        """Forget all other keys."""
        with self._lock:
            self._since = {key: seen for key, seen in self._since.items() if key in keys}

    def clear(self) -> None:
        """Forget everything: all measurements begin anew."""
        with self._lock:
            self._since.clear()
