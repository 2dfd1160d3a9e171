"""Holds requests back between the load of weights and the end of their probe.

So nobody gets an answer of theirs before they are known to be right. Requests that name other weights go on.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mstar.api.policy import WeightsState


class ProbeGate:
    """The gate of one service; used in its event loop only."""

    def __init__(self) -> None:
        self._version: str | None = None
        self._open = asyncio.Event()
        self._open.set()

    @asynccontextmanager
    async def closed(self, version: str) -> AsyncIterator[None]:
        """Hold back requests for a version while this is entered. Loads exclude each other: there is one at a time."""
        # Loads exclude each other by the lock of `weights_router`, so one version is enough.
        self._version = version
        self._open.clear()
        try:
            yield
        finally:
            self._version = None
            self._open.set()

    async def passed(self, version: str | None) -> None:
        """Wait while the weights that a request is for are probed; None: whatever is loaded."""
        if version in (None, self._version):
            await self._open.wait()

    def shown(self, state: WeightsState) -> WeightsState:
        """What is loaded, not ready while it is probed."""
        probed = self._version is not None and state.weight_version == self._version
        return state.model_copy(update={"ready": False}) if probed else state
