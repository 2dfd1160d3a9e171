"""The newest event and the state of runs, read once for all who follow them.

Hundreds of pages and scripts may follow one run. If each read the database for itself several times a second, little of
the processor would be left for anybody else. What this leaves out: the events, which are read when there is a new one.
"""

import asyncio
import time
from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool

from mstar.evolution import RunState
from mstar_coordinator.store.database import Store

FRESH_SECONDS = 0.15
"""How old a look may be when it began."""
MOST = 256
"""Runs of which a look is kept."""


@dataclass(frozen=True)
class Glance:
    """A run at one moment."""

    last: int
    """Number of its newest event."""
    state: RunState


class Glances:
    """For one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looks: dict[str, tuple[float, asyncio.Task[Glance]]] = {}

    async def of(self, run_id: str) -> Glance:
        """A run as it is, or was a moment ago. Raises NotFound and Unavailable."""
        began, look = self._looks.get(run_id, (0.0, None))
        now = time.monotonic()
        if look is None or now - began > FRESH_SECONDS:
            if len(self._looks) >= MOST:
                self._looks.clear()
            look = asyncio.create_task(run_in_threadpool(self._look, run_id))
            # Read here, since all who wait for it may have gone: it would be reported as never retrieved.
            look.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._looks[run_id] = now, look
        # One follower who leaves must not take the look from the others.
        return await asyncio.shield(look)

    def _look(self, run_id: str) -> Glance:
        with self._store.reading() as tx:
            # The state first: of a run that has ended by then, all events are there.
            return Glance(state=tx.runs.state(run_id), last=tx.events.last_id(run_id))
