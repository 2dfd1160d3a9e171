"""A vLLM engine that tests share: it lives on an event loop of its own, and each test gets a fresh view of it."""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import pytest
import torch

from mstar.api.policy import WeightsState
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.vllm_core import VllmOptions
from mstar_policy.engine import Engine, Generation, SamplingRequest, TokenCallback
from mstar_policy.text import Vocabulary
from mstar_policy.vllm_engine import VllmEngine

Result = TypeVar("Result")
VLLM_MARKS = [
    pytest.mark.vllm,
    # vLLM's own imports warn of what torch and Python will take away; none of that is ours to change.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]
ON_GPU = torch.cuda.is_available()
"""Only where `MSTAR_TEST_GPU` lets tests see one."""
OPTIONS = VllmOptions(max_sequences=64, memory_share=0.2, cpu=not ON_GPU, threads=1, images=2, count_encoder_runs=True)
BLOCK = 16 if ON_GPU else 32
"""Tokens of a block of the prefix cache: only whole blocks are shared."""


class StartedVllm:
    """The engine and its loop; its core process starts with the first load."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm loop")
        self._vllm: VllmEngine | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._vllm is not None:
            self.run(self._vllm.close())
        self.run(asyncio.sleep(0.1))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do something on the engine's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def beside(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The same from another loop, cancelled with its caller."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def vllm(self, store: ArtefactStore) -> VllmEngine:
        """The shared engine, over the store of the test at hand."""
        if self._vllm is None:

            async def make() -> VllmEngine:
                return VllmEngine(store, OPTIONS)

            self._vllm = self.run(make())
        self._vllm.store = store
        return self._vllm

    def engine(self, store: ArtefactStore) -> Engine:
        """An engine as a test meets it: without weights until it loads some."""
        return _View(self, store)


class _View:
    """Until its first load a VllmEngine that was never started, from then on the shared one."""

    def __init__(self, started: StartedVllm, store: ArtefactStore) -> None:
        self._started = started
        self._store = store
        self._engine = VllmEngine(store, OPTIONS)

    def weights(self) -> WeightsState:
        return self._engine.weights()

    async def load(self, ref: ArtefactRef) -> None:
        self._engine = self._started.vllm(self._store)
        await self._started.beside(self._engine.load(ref))

    async def load_folder(self, folder: Path) -> None:
        self._engine = self._started.vllm(self._store)
        await self._started.beside(self._engine.load_folder(folder))

    def vocabulary(self) -> Vocabulary:
        return self._engine.vocabulary()

    async def generate(self, request: SamplingRequest, on_tokens: TokenCallback | None = None) -> Generation:
        loop = asyncio.get_running_loop()
        # vLLM lives in a loop of its own.
        passed_on = None if on_tokens is None else (lambda delta: loop.call_soon_threadsafe(on_tokens, delta))
        return await self._started.beside(self._engine.generate(request, passed_on))

    async def sleep(self) -> None:
        await self._started.beside(self._engine.sleep())

    async def close(self) -> None:
        """The core goes on for the next test."""
