"""Loads of weights: one at a time, none while the service sleeps, the model of the settings in the background."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import structlog

from mstar.api.policy import WeightsState
from mstar.errors import Conflict, MstarError, Unavailable
from mstar.steps import ArtefactRef

ASLEEP_SECONDS = 30.0
NO_WEIGHTS = "no weights are loaded: `mstar serve RUN` loads those of a run, PUT /v1/weights any others"

_log = structlog.get_logger(__name__)


class WeightHolder(Protocol):
    """The part of an engine that loads need."""

    def weights(self) -> WeightsState:
        """What is loaded now."""

    async def load(self, ref: ArtefactRef) -> None:
        """Verify and load a checkpoint.

        On an error the old weights keep serving; where the new ones fail their probe none are loaded.
        """

    async def load_folder(self, folder: Path) -> None:
        """Load a Hugging Face folder, which nobody has verified."""

    async def sleep(self) -> None:
        """Finish what runs, forget the weights and give the device's memory back. A load ends the sleep."""


class Loads:
    """Keeps the loads, sleeps and wakings of one holder apart; used in its event loop only."""

    def __init__(self, holder: WeightHolder) -> None:
        self._holder = holder
        self._turn = asyncio.Lock()
        self._wanted = ""
        """The version that updates wait for or load."""
        self._updates = 0
        self.awake = True
        self._first: str | None = None
        """What became of the model of the settings; None: it is loaded, or there is none."""

    def weights(self) -> WeightsState:
        """What is loaded now."""
        return self._holder.weights()

    def not_ready(self) -> str | None:
        """Why nothing can be served, or None."""
        return None if self._holder.weights().ready else self._first or NO_WEIGHTS

    @asynccontextmanager
    async def first(self, folder: Path | None) -> AsyncIterator[None]:
        """While this is entered, load the folder of the settings in the background.

        A server that is not alive for minutes would be restarted by whoever watches it. Without its model it stays up:
        /readyz says why, and it can still be given other weights.
        """
        loading = None
        if folder is not None:
            self._first = f"{folder.name} is being loaded"
            loading = asyncio.create_task(self._load_first(folder))
        try:
            yield
        finally:
            if loading is not None:
                loading.cancel()
                await asyncio.wait([loading])

    async def update(self, ref: ArtefactRef) -> WeightsState:
        """Load these weights unless they are there. Raises Conflict beside others, and Unavailable while asleep."""
        # Claimed before the turn: of two that wait for it, the second would replace weights that nobody has used yet.
        if self._updates and self._wanted != ref.version:
            raise Conflict(f"weights {self._wanted} are being loaded: try again when that is done", retry_after=1.0)
        self._wanted = ref.version
        self._updates += 1
        try:
            async with self._turn:
                # Asked in the turn: a sleep that was asked for before this load may only just have ended.
                if not self.awake:
                    raise Unavailable("the service sleeps while another one has the device", retry_after=ASLEEP_SECONDS)
                loaded = self._holder.weights()
                if not (loaded.ready and loaded.weight_version == ref.version):
                    await self._holder.load(ref)
                self._first = None
        finally:
            self._updates -= 1
        return self._holder.weights()

    async def set_awake(self, awake: bool) -> None:
        """Sleep, or be ready to load again; returns when it is done."""
        async with self._turn:
            if self.awake is not awake:
                if not awake:
                    await self._holder.sleep()
                self.awake = awake
                _log.info("power", awake=awake)

    async def _load_first(self, folder: Path) -> None:
        # In a turn as every load: one that ended late would replace weights that were put meanwhile.
        async with self._turn:
            try:
                await self._holder.load_folder(folder)
            except MstarError as error:
                self._first = f"the model of the settings is not loaded: {error.detail}"
                _log.error("model of the settings not loaded", folder=str(folder), detail=error.detail)
            except Exception:
                self._first = "the model of the settings is not loaded: the log of this service says why"
                # Nobody awaits this task for its result, so an error that is not logged here is lost.
                _log.exception("model of the settings not loaded", folder=str(folder))
            else:
                self._first = None
