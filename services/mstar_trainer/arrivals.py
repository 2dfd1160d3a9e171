"""Polls for the inputs of a step that are still missing, while its training processes work or wait for them."""

import queue
import time
from collections.abc import Callable

from mstar.api.steps import Arrivals, Claim, StepInput
from mstar.errors import Unavailable
from mstar_worker.stop import Preempted

POLL = 0.2
"""Seconds between two looks for inputs that are still to come."""
Arrive = Callable[[], Arrivals]
Line = tuple[int, str | None]
"""A rank, and what it says; None once it has ended."""


class StreamedInputs:
    """What a step still waits for."""

    def __init__(self, claim: Claim, arrivals: Arrive, clock: Callable[[], float] = time.monotonic) -> None:
        self.missing = set(claim.step.streams) - set(claim.inputs)
        self._arrivals = arrivals
        self._clock = clock
        self._looked = clock()

    def pause(self) -> float:
        """Seconds until the next look is due."""
        return max(0.0, self._looked + POLL - self._clock())

    def arrived(self) -> dict[str, StepInput]:
        """Inputs that are new. Raises Preempted when the run was paused, so that another step can train meanwhile."""
        self._looked = self._clock()
        try:
            found = self._arrivals()
        except Unavailable:
            # A coordinator that restarts loses nothing; the lease says when to give up.
            return {}
        new = {name: found.inputs[name] for name in self.missing & set(found.inputs)}
        self.missing -= set(new)
        if self.missing and not found.coming:
            raise Preempted("the run is paused")
        return new


def next_line(
    replies: "queue.SimpleQueue[Line]",
    stream: StreamedInputs,
    silence: float,
    hand_out: Callable[[dict[str, StepInput]], None],
) -> Line:
    """What a rank says next; `hand_out` gets inputs as they arrive.

    Raises Unavailable where nothing is said for `silence` seconds though every input is there.
    """
    while True:
        # Also while ranks report step after step: an input that is there before it is needed costs them no wait.
        if stream.missing and not stream.pause():
            hand_out(stream.arrived())
        try:
            return replies.get(timeout=stream.pause() if stream.missing else silence)
        except queue.Empty:
            if not stream.missing:
                raise Unavailable(f"the training processes said nothing for {silence:.0f} s and were killed") from None
