"""What vLLM computed for each request, by its own count.

A request for n samples becomes n requests inside vLLM, and its output tells of the last of them only. vLLM's statistics
tell of each, so they are listened to here. What this leaves out: Prometheus, to which vLLM reports by itself.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

TELL_SECONDS = 1.0
"""How long the statistics of a request may come behind its output."""


class Tally:
    """Prompt tokens that one request computed, over its samples."""

    def __init__(self, samples: int) -> None:
        self.computed = 0
        self.from_scratch = False
        """Whether a sample found nothing in the prefix cache, so that its image was looked at."""
        self._open = samples
        self._all = asyncio.Event()

    def add(self, prompt_tokens: int, cached_tokens: int) -> None:
        self.computed += prompt_tokens - cached_tokens
        self.from_scratch |= cached_tokens == 0
        self._open -= 1
        if not self._open:
            self._all.set()

    async def whole(self) -> "Tally":
        """Itself, when all samples are in. A count that never comes is no reason to lose samples."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all.wait(), TELL_SECONDS)
        return self


class Ledger:
    """A stat logger in vLLM's sense, for the requests that are open."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}

    def __call__(self, config: object, engine: int) -> "Ledger":
        """VLLM asks for a logger for each of its engines; one serves all."""
        return self

    @contextmanager
    def open(self, name: str, samples: int) -> Iterator[Tally]:
        """Listen for a request while entered."""
        tally = self._tallies[name] = Tally(samples)
        try:
            yield tally
        finally:
            del self._tallies[name]

    def record(
        self, scheduler_stats: Any, iteration_stats: Any, mm_cache_stats: Any = None, engine_idx: int = 0
    ) -> None:
        for one in () if iteration_stats is None else iteration_stats.finished_requests:
            tally = self._tallies.get(one.request_id)
            if tally is not None:
                tally.add(one.num_prompt_tokens, one.num_cached_tokens)

    def log(self) -> None:
        """Nothing: vLLM's own loggers do."""

    def log_engine_initialized(self) -> None:
        """Nothing: the service says so itself."""

    def record_sleep_state(self, is_awake: int, level: int) -> None:
        """Nothing: the service knows."""
