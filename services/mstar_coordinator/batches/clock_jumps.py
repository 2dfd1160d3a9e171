"""Notices changes of the system clock, by comparing it with a monotonic one."""

from collections.abc import Callable

LEAST_SECONDS = 60.0
"""Smaller steps are those by which a machine keeps its time right."""


class ClockJumps:
    """Compares how far two clocks have come since the last look; used by one task."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._clock = clock
        self._ahead: float | None = None
        """By how much the time of day is ahead of the clock."""

    def forget(self) -> None:
        """Compare with the next look alone: what comes before it is somebody else's."""
        self._ahead = None

    def moved(self, time_of_day: float) -> float:
        """Seconds by which the time of day was put ahead since the last call, below 0 for back; 0 where it was not."""
        ahead = time_of_day - self._clock()
        moved = 0.0 if self._ahead is None else ahead - self._ahead
        if self._ahead is not None and abs(moved) < LEAST_SECONDS:
            # The old difference stays, so that many small steps are noticed together.
            return 0.0
        self._ahead = ahead
        return moved
