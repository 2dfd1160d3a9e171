"""What the coordinator needs from outside, as interfaces: the time, and a way to send hints to workers."""

from typing import Protocol

from mstar.steps import Queue


class Clock(Protocol):
    """Wall-clock time, since stamps and leases outlive the process."""

    def __call__(self) -> float:
        """Seconds since the epoch, UTC."""
        ...


class Publisher(Protocol):
    """Sends hints that a step is worth claiming. One may be lost or come twice: the store decides, not the queue."""

    def publish(self, queue: Queue, step_id: str) -> None:
        """Tell one worker of the queue. Raises Unavailable when the broker can't be reached."""
        ...

    def depth(self, queue: Queue) -> int:
        """Hints that wait for a worker. Raises Unavailable when the broker can't be reached."""
        ...

    def check(self) -> None:
        """Raise Unavailable with the reason when the broker would not take a message now."""
        ...

    def close(self) -> None:
        """Give up the connection."""
        ...
