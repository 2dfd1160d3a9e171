"""Counts the prompt tokens that vLLM computed for each request, from its own statistics.

A request for n samples becomes n requests inside vLLM, and its output reports the counts of the last one only. vLLM's
statistics report each, so they are used here. What this leaves out: Prometheus, to which vLLM reports by itself.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

STATISTICS_SECONDS = 1.0
"""How long the statistics of a request may arrive after its output."""


class Tally:
    """Prompt tokens computed for one request, summed over its samples."""

    def __init__(self, samples: int) -> None:
        self.computed = 0
        self.least_cached: int | None = None
        """Tokens that the sample found in the prefix cache which found the fewest; None before any is counted."""
        self._open = samples
        self._all = asyncio.Event()

    def add(self, prompt_tokens: int, cached_tokens: int) -> None:
        """Count one finished sample."""
        self.computed += prompt_tokens - cached_tokens
        self.least_cached = cached_tokens if self.least_cached is None else min(self.least_cached, cached_tokens)
        self._open -= 1
        if not self._open:
            self._all.set()

    async def whole(self) -> "Tally":
        """Wait until all samples are counted, and return self.

        After `STATISTICS_SECONDS` it returns without them: a missing count is no reason to lose samples.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all.wait(), STATISTICS_SECONDS)
        return self


class Ledger:
    """Implements vLLM's stat logger, and counts for the requests that are open."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}

    def __call__(self, config: object, engine: int) -> "Ledger":
        """Called by vLLM to make a logger for each of its engines; one serves all."""
        return self

    @contextmanager
    def open(self, name: str, samples: int) -> Iterator[Tally]:
        """Count for the request of this name while the context is entered."""
        tally = self._tallies[name] = Tally(samples)
        try:
            yield tally
        finally:
            del self._tallies[name]

    def record(
        self, scheduler_stats: Any, iteration_stats: Any, mm_cache_stats: Any = None, engine_idx: int = 0
    ) -> None:
        """Called by vLLM after every step."""
        for one in () if iteration_stats is None else iteration_stats.finished_requests:
            tally = self._tallies.get(one.request_id)
            if tally is not None:
                tally.add(one.num_prompt_tokens, one.num_cached_tokens)

    def log(self) -> None:
        """Do nothing: vLLM's own loggers write these."""

    def log_engine_initialized(self) -> None:
        """Do nothing: the service logs this itself."""

    def record_sleep_state(self, is_awake: int, level: int) -> None:
        """Do nothing: the service puts it to sleep itself."""
