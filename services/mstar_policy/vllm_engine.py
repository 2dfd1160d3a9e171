"""The vLLM engine: an AsyncLLM in this process, whose core runs the model in a process of its own.

One request carries all samples of a prompt, so the image is encoded once and the prefix computed once; prompts that
share a question share both through vLLM's caches. New weights are loaded in place between requests: a load waits for
those that run, keeps later ones at the door, and drops every cache that the old weights filled. What this leaves out:
vLLM's own HTTP server, with its developer endpoints, is never started.
"""

import asyncio
import gc
import hashlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from PIL.Image import Image
from transformers import GenerationConfig

from mstar.api.policy import RolloutReply, RolloutRequest, WeightsState
from mstar.errors import InvalidInput, Unavailable
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.checkpoint import MODEL_FOLDER, check_finite
from mstar_models.door import Door, within
from mstar_models.encoding import PromptEncoder, suppressed_ids
from mstar_models.loading import load_processor
from mstar_models.vllm_core import VllmOptions, make_core, require_supported
from mstar_policy.engine import Heard
from mstar_policy.prompts import check_version, folder_version, prefix_ids, room_for, stop_ids
from mstar_policy.vllm_requests import Ear, parameters, reply

SHAPE_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "processor_config.json", "chat_template.jinja")
"""Files that another engine is needed for when they change; else only the weights differ."""
VERIFY_SECONDS = START_SECONDS = 1800.0
DRAIN_SECONDS = 600.0
SWAP_SECONDS = 300.0
FREED_SHARE = 0.8
"""Of the memory that the engine may take, what a sleep must give back."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Loaded:
    """One set of weights with all that depends on its folder."""

    version: str
    name: str
    shape: str
    tokenizer: Any
    encoder: PromptEncoder
    stop: tuple[int, ...]
    suppressed: tuple[int, ...]


class VllmEngine:
    """Implements `Engine` over vLLM."""

    def __init__(self, store: ArtefactStore, options: VllmOptions) -> None:
        require_supported()
        self.store = store
        self._options = options
        self._core: Any = None
        self._shape = ""
        """Of the folder that the core was started with."""
        self._asleep = False
        self._loaded: _Loaded | None = None
        self._checksums: dict[str, str] = {}
        self._door = Door(DRAIN_SECONDS)
        self._one_load = asyncio.Lock()
        self._numbers = itertools.count()

    def weights(self) -> WeightsState:
        loaded = self._loaded
        if loaded is None:
            return WeightsState(weight_version="", ready=False, model="")
        return WeightsState(weight_version=loaded.version, ready=True, model=loaded.name)

    async def load(self, ref: ArtefactRef) -> None:
        folder = await within(asyncio.to_thread(self._verified, ref), VERIFY_SECONDS, "verifying the checkpoint")
        await self._serve(folder, ref.version)

    async def load_folder(self, folder: Path) -> None:
        await self._serve(folder, await asyncio.to_thread(folder_version, folder))

    async def generate(
        self, request: RolloutRequest, images: Sequence[Image], heard: Heard | None = None
    ) -> RolloutReply:
        async with self._door.passing():
            check_version(request, None if self._loaded is None else self._loaded.version)
            assert self._loaded is not None
            loaded = self._loaded
            plans = await asyncio.to_thread(self._plans, request, images, loaded, heard is not None)
            ears = [None if heard is None else Ear(heard, request.prompts[0])] + [None] * (len(plans) - 1)
            tasks = [asyncio.ensure_future(self._sample(*plan, ear)) for plan, ear in zip(plans, ears, strict=True)]
            try:
                outputs = await asyncio.gather(*tasks)
            except BaseException:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                raise
        return reply(request, outputs, loaded.version, loaded.tokenizer, loaded.stop)

    async def sleep(self) -> None:
        async with self._one_load, self._door.shut():
            self._loaded = None
            if self._core is None or not await self._slept_in_place():
                self._stop()

    async def _slept_in_place(self) -> bool:
        """Whether the core gave back its memory and lives on. Weights are replaced after each sleep: none are kept."""
        if not self._options.sleeps_in_place:
            return False
        (before, total), *_ = await self._core.collective_rpc("device_memory")
        await within(self._core.sleep(level=2), SWAP_SECONDS, "sleeping")
        (after, _), *_ = await self._core.collective_rpc("device_memory")
        self._asleep = True
        freed = (after - before) / (total * self._options.memory_share)
        # Some versions keep gigabytes: then the next one would find too little, and only an end helps.
        _log.info("asleep", freed_share=round(freed, 3))
        return bool(freed >= FREED_SHARE)

    def read(self, tokens: Sequence[int]) -> str:
        return "" if self._loaded is None else str(self._loaded.tokenizer.decode(tokens, skip_special_tokens=False))

    async def close(self) -> None:
        async with self._one_load:
            self._stop()

    async def encoder_runs(self) -> int:
        """Images that the vision tower encoded since this was last asked (needs `count_encoder_runs`)."""
        found: list[dict[str, dict[str, int]]] = await self._core.collective_rpc("get_encoder_timing_stats")
        return sum(request["num_encoder_calls"] for request in found[0].values())

    def _verified(self, ref: ArtefactRef) -> Path:
        folder = self.store.verify(ref, MODEL_FOLDER)
        check_finite(folder, ref.id)
        return folder

    async def _serve(self, folder: Path, version: str) -> None:
        """Swap weights with no request inside. Fails whole: old weights go on, or nothing is served until a load."""
        async with self._one_load:
            found = await asyncio.to_thread(_describe, folder, version)
            async with self._door.shut():
                self._loaded = None
                try:
                    if self._core is None or self._shape != found.shape:
                        await self._start(folder, found)
                    else:
                        await self._swap(folder, found)
                except BaseException:
                    self._stop()
                    raise
                self._loaded = found
            _log.info("weights loaded", weight_version=version)

    async def _start(self, folder: Path, found: _Loaded) -> None:
        self._stop()
        self._shape = found.shape
        await asyncio.to_thread(self._make_core, folder)
        await within(self._core.update_weight_version(found.version), START_SECONDS, "starting the engine")
        await self._note_checksum(found.version)

    def _make_core(self, folder: Path) -> None:
        # Not as a result of the thread: what is left of that would hold the engine until the interpreter ends.
        self._core = make_core(folder, self._options)

    async def _swap(self, folder: Path, found: _Loaded) -> None:
        """Load in place. The caches hold keys, values and image features of the old weights, so they go."""
        core = self._core
        if self._asleep:
            await within(core.wake_up(), SWAP_SECONDS, "waking")
            self._asleep = False
        phases: tuple[tuple[str, Callable[[], Awaitable[Any]]], ...] = (
            ("pausing", lambda: core.pause_generation(mode="wait", clear_cache=True)),
            ("loading", lambda: core.collective_rpc("load_checkpoint", args=(str(folder),))),
            ("dropping keys and values", core.reset_prefix_cache),
            ("dropping images", core.reset_mm_cache),
            ("dropping image features", core.reset_encoder_cache),
            ("naming the version", lambda: core.update_weight_version(found.version)),
            ("summing the weights", lambda: self._note_checksum(found.version)),
            ("resuming", core.resume_generation),
        )
        for name, phase in phases:
            await within(phase(), SWAP_SECONDS, name)

    async def _note_checksum(self, version: str) -> None:
        """Raises Unavailable when a version that was loaded before has other weights now."""
        digests = await self._core.compute_weight_checksums()
        whole = hashlib.sha256(repr([sorted(digest.items()) for digest in digests]).encode()).hexdigest()
        if self._checksums.setdefault(version, whole) != whole:
            raise Unavailable(f"weights {version} were loaded with another checksum than before: load them again")

    def _stop(self) -> None:
        core, self._core, self._loaded, self._asleep = self._core, None, None, False
        if core is not None:
            core.shutdown()
            # The engine is part of a circle of references; with it go its sockets and shared memory.
            del core
            gc.collect()

    def _plans(
        self, request: RolloutRequest, images: Sequence[Image], loaded: _Loaded, heard: bool
    ) -> list[tuple[dict[str, Any], Any, str]]:
        """Prompt and sampling parameters of each prompt, as vLLM takes them."""
        context = self._core.model_config.max_model_len
        plans = []
        for index, (prompt, image) in enumerate(zip(request.prompts, images, strict=True)):
            begun = prefix_ids(loaded.tokenizer, prompt.prefix)
            ids = [*loaded.encoder.unexpanded(prompt.question, prompt.reference_answer), *begun]
            whole = len(loaded.encoder.encode(prompt.question, image, prompt.reference_answer).input_ids) + len(begun)
            max_tokens = min(request.max_tokens, room_for(index, whole, context))
            asked = {"prompt_token_ids": ids, "multi_modal_data": {"image": image}}
            growing = heard and index == 0
            sampling = parameters(prompt, request.top_p, max_tokens, loaded.stop, loaded.suppressed, growing=growing)
            plans.append((asked, sampling, loaded.version))
        return plans

    async def _sample(self, asked: dict[str, Any], parameters: Any, weight_version: str, ear: Ear | None) -> Any:
        """The finished output of one prompt. Raises Unavailable when the engine died or answered with other weights."""
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        try:
            async for output in self._core.generate(asked, parameters, f"rollout-{next(self._numbers)}"):
                finished = output if ear is None else ear.grown(output)
        except (EngineDeadError, EngineGenerateError) as error:
            self._stop()
            raise Unavailable(f"the engine failed: {error}; load weights again", retry_after=5.0) from error
        except (VLLMClientError, ValueError) as error:
            raise InvalidInput(f"the engine refused a prompt: {error}", field="prompts") from error
        spans = {span.version for one in finished.outputs for span in one.weight_versions or ()}
        if spans - {weight_version}:
            raise Unavailable(f"samples came from {sorted(spans)}, not from {weight_version} alone: ask again")
        return finished


def _describe(folder: Path, weight_version: str) -> _Loaded:
    processor = load_processor(folder)
    configured = GenerationConfig.from_pretrained(folder, local_files_only=True)
    digest = hashlib.sha256()
    for name in SHAPE_FILES:
        path = folder / name
        digest.update(name.encode() + (path.read_bytes() if path.is_file() else b""))
    return _Loaded(
        version=weight_version,
        name=folder.name,
        shape=digest.hexdigest(),
        tokenizer=processor.tokenizer,
        encoder=PromptEncoder(processor),
        stop=tuple(sorted(stop_ids(configured.eos_token_id, processor.tokenizer))),
        suppressed=tuple(suppressed_ids(processor.tokenizer)),
    )
