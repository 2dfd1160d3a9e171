"""A stand-in for vLLM's AsyncLLM, to test what happens around it: no model, but the same calls, states and errors."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mstar_models.vllm_core import VllmOptions


class FakeCore:
    """Answers each request with its number, or fails or waits where it is told to."""

    model_config = SimpleNamespace(max_model_len=256, dtype="torch.float32")
    output_handler = None

    def __init__(self) -> None:
        self.engine_core = SimpleNamespace(resources=SimpleNamespace(ctx=self))
        self.errored = False
        self.failures: dict[str, Exception] = {}
        """What a call of that name raises."""
        self.hangs: set[str] = set()
        """Calls that never return."""
        self.calls: list[str] = []
        self.version = ""
        self.claimed_version: str | None = None
        """What its outputs say, when that is not the truth."""
        self.folder = ""
        self.sums = "0"
        self.keeps_prefixes = False
        self.free, self.freed = 10, 90
        """Percent of the device's memory that is free before and after a sleep."""
        self.ended = threading.Event()

    async def _called(self, name: str) -> None:
        self.calls.append(name)
        await asyncio.sleep(3600 if name in self.hangs else 0)
        if name in self.failures:
            raise self.failures[name]

    async def generate(self, asked: dict[str, Any], sampling: Any, name: str) -> AsyncIterator[Any]:
        await self._called("generate")
        span = SimpleNamespace(version=self.claimed_version or self.version)
        likely = getattr(sampling, "logprob_token_ids", None) or [5]
        outputs = [self._output(index, span, likely) for index in range(sampling.n)]
        yield SimpleNamespace(prompt_token_ids=asked["prompt_token_ids"], num_cached_tokens=0, outputs=outputs)

    def _output(self, index: int, span: Any, likely: list[int]) -> Any:
        """One token, which is the first of the likely ones; each next one is e times less likely."""
        return SimpleNamespace(
            index=index,
            token_ids=likely[:1],
            logprobs=[{token: SimpleNamespace(logprob=-0.5 - place) for place, token in enumerate(likely)}],
            cumulative_logprob=-0.5,
            finish_reason="length",
            weight_versions=[span],
        )

    async def pause_generation(self, mode: str, clear_cache: bool) -> None:
        await self._called("pause_generation")

    async def resume_generation(self) -> None:
        await self._called("resume_generation")

    async def collective_rpc(self, name: str, args: tuple[Any, ...] = ()) -> Any:
        await self._called(name)
        if name == "load_checkpoint":
            self.folder = args[0]
        return [(self.free, 100)] if name == "device_memory" else []

    async def reset_prefix_cache(self) -> bool:
        await self._called("reset_prefix_cache")
        return not self.keeps_prefixes

    async def reset_encoder_cache(self) -> None:
        await self._called("reset_encoder_cache")

    async def update_weight_version(self, version: str) -> None:
        await self._called("update_weight_version")
        self.version = version

    async def compute_weight_checksums(self) -> list[dict[str, str]]:
        await self._called("compute_weight_checksums")
        return [{"weight": self.sums or self.folder}]

    async def sleep(self, level: int) -> None:
        await self._called("sleep")
        self.free = self.freed

    async def wake_up(self) -> None:
        await self._called("wake_up")
        self.free = 10

    def destroy(self, linger: int) -> None:
        """Nothing: it has no sockets."""

    def shutdown(self, timeout: float) -> None:
        self.errored = True
        self.ended.set()


class FakeCores:
    """Starts engines, none before it is let."""

    def __init__(self) -> None:
        self.made: list[FakeCore] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, folder: Path, options: VllmOptions) -> FakeCore:
        core = FakeCore()
        core.folder, core.sums = str(folder), ""
        self.made.append(core)
        assert self.may_go_on.wait(30)
        return core
