"""What the scheduler needs from outside, as interfaces: a clock for time limits, and a way to send task messages."""

from typing import Protocol

from mstar.steps import Queue


class Clock(Protocol):
    """Monotonic time, which only differences have a meaning of. The time of day comes from the database."""

    def __call__(self) -> float:
        """Seconds since some moment."""
        ...


class Publisher(Protocol):
    """Sends task messages: a step is worth claiming. One may be lost or come twice; the database decides."""

    def publish(self, queue: Queue, step_id: str) -> None:
        """Send a message to one worker of the queue. Raises Unavailable when the broker can't be reached."""
        ...

    def depth(self, queue: Queue) -> int:
        """Messages that wait for a worker. Raises Unavailable when the broker can't be reached."""
        ...

    def check(self) -> None:
        """Raise Unavailable with the reason when the broker would not take a message now."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
