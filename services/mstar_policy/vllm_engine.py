"""The vLLM engine: an AsyncLLM in this process, whose core runs the model in a process of its own.

One request carries all samples of a prompt, so the image is encoded once and the prefix computed once; prompts that
share a question share both through vLLM's caches. New weights are loaded in place between requests: a load waits for
those that run, keeps later ones at the door, and drops every cache that the old weights filled. What this leaves out:
the engine's life and death (`vllm_host`), and vLLM's own HTTP server with its developer endpoints, which never starts.
"""

import asyncio
import hashlib
import itertools
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from transformers import GenerationConfig

from mstar.api.policy import WeightsState
from mstar.errors import Unavailable
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.checkpoint import MODEL_FOLDER, check_finite, folder_version
from mstar_models.drain_lock import DrainLock, within
from mstar_models.encoding import PromptEncoder, suppressed_ids
from mstar_models.loading import load_processor
from mstar_models.tensors import same_tensors, sees
from mstar_models.vllm_core import VllmOptions, make_core, require_supported
from mstar_models.vllm_host import Make, VllmHost, all_or_none
from mstar_policy.engine import Generation, SamplingRequest, TokenCallback
from mstar_policy.prompts import (
    NO_WEIGHTS,
    RETRY_AFTER_SECONDS,
    check_length,
    check_version,
    prefix_ids,
    room_for,
    stop_ids,
)
from mstar_policy.text import TokenizerVocabulary, Vocabulary
from mstar_policy.vllm_requests import GrowingOutputs, parameters, reply, require_version
from mstar_policy.vllm_usage import Ledger, Tally

SHAPE_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "processor_config.json", "chat_template.jinja")
"""Files that another engine is needed for when they change; else only the weights differ."""
READ_SECONDS = 1800.0
"""For hashing a checkpoint and reading what a folder holds beside weights."""
DRAIN_SECONDS = 600.0
SWAP_SECONDS = 300.0
FREED_SHARE = 0.8
"""Of the memory that the engine may take, what a sleep must give back."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Loaded:
    """One set of weights with all that depends on its folder."""

    version: str
    folder: Path
    shape: str
    tokenizer: Any
    vocabulary: Vocabulary
    prompts: PromptEncoder
    suppressed: tuple[int, ...]
    checksum: str = ""
    """Of the tensors in the engine."""


class VllmEngine:
    """Implements `Engine` over vLLM."""

    def __init__(
        self,
        store: ArtefactStore,
        options: VllmOptions,
        make: Make | None = None,
        swap_seconds: float = SWAP_SECONDS,
    ) -> None:
        """`make` stands in for vLLM's own; `swap_seconds`: for each phase of an exchange of weights."""
        require_supported()
        self.store = store
        self._options = options
        self._swap_seconds = swap_seconds
        self._ledger = Ledger()
        self._host = VllmHost(options, make or partial(make_core, loggers=[self._ledger]))
        self._shape = ""
        """Of the folder that the engine was started with."""
        self._asleep = False
        self._loaded: _Loaded | None = None
        self._checksums: dict[str, str] = {}
        self._lock = DrainLock(DRAIN_SECONDS)
        self._one_load = asyncio.Lock()
        self._numbers = itertools.count()
        # A tokenizer has settings that a call switches for its time: two threads would mix them up.
        self._encoding = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoding")

    def weights(self) -> WeightsState:
        loaded = self._serving()
        if loaded is None:
            return WeightsState(weight_version="", ready=False, model="")
        name = loaded.folder.name
        return WeightsState(weight_version=loaded.version, ready=True, model=name, checksum=loaded.checksum)

    async def load(self, ref: ArtefactRef) -> None:
        folder = await within(asyncio.to_thread(self._verified, ref), READ_SECONDS, "verifying the checkpoint")
        await self._serve(folder, ref.version)

    async def load_folder(self, folder: Path) -> None:
        version = asyncio.to_thread(folder_version, folder)
        await self._serve(folder, await within(version, READ_SECONDS, "reading the weights"))

    def vocabulary(self) -> Vocabulary:
        loaded = self._serving()
        if loaded is None:
            raise Unavailable(NO_WEIGHTS, retry_after=RETRY_AFTER_SECONDS)
        return loaded.vocabulary

    async def generate(self, request: SamplingRequest, on_tokens: TokenCallback | None = None) -> Generation:
        async with self._lock.using():
            loaded = self._serving()
            check_version(request, None if loaded is None else loaded.version)
            assert loaded is not None
            encode = asyncio.get_running_loop().run_in_executor
            encoded = await encode(self._encoding, self._prompts, request, loaded)
            first = None if on_tokens is None else GrowingOutputs(on_tokens, request.prompts[0], request.top_logprobs)
            found = await all_or_none(
                self._sample(request, index, ids, loaded, first if index == 0 else None)
                for index, ids in enumerate(encoded)
            )
        outputs, tallies = zip(*found, strict=True)
        return reply(request, outputs, tallies, loaded.version, loaded.vocabulary)

    async def sleep(self) -> None:
        async with self._one_load, self._lock.drained():
            self._loaded = None
            if not self._host.live or not await self._slept_in_place():
                await self._stop()

    async def _slept_in_place(self) -> bool:
        """Whether the core gave back its memory and lives on. Weights are replaced after each sleep: none are kept."""
        if not self._options.sleeps_in_place:
            return False
        before = await self._free_memory()
        await within(self._host.core.sleep(level=2), self._swap_seconds, "sleeping")
        self._asleep = True
        freed = min(
            (after - free) / (total * self._options.memory_share)
            for (free, total), (after, _) in zip(before, await self._free_memory(), strict=True)
        )
        # Some versions keep gigabytes: then the next one would find too little, and only an end helps.
        _log.info("asleep", freed_share=round(freed, 3))
        return freed >= FREED_SHARE

    async def _free_memory(self) -> list[tuple[int, int]]:
        """Free and all bytes of each worker's device."""
        asked = self._host.core.collective_rpc("device_memory")
        found: list[tuple[int, int]] = await within(asked, self._swap_seconds, "looking at the memory")
        return found

    async def close(self) -> None:
        async with self._one_load:
            await self._stop()
        self._encoding.shutdown(wait=False)

    async def encoder_runs(self) -> int:
        """Images that the vision tower encoded since this was last asked (needs `count_encoder_runs`)."""
        found: list[dict[str, dict[str, int]]] = await self._host.core.collective_rpc("get_encoder_timing_stats")
        return sum(request["num_encoder_calls"] for request in found[0].values())

    def _serving(self) -> _Loaded | None:
        """What can be sampled from: nothing, when the engine died meanwhile."""
        return self._loaded if self._host.live else None

    def _verified(self, ref: ArtefactRef) -> Path:
        folder = self.store.verify(ref, MODEL_FOLDER)
        check_finite(folder, ref.id)
        return folder

    async def _serve(self, folder: Path, version: str) -> None:
        """Swap weights with no request inside. Fails whole: old weights go on, or nothing is served until a load."""
        async with self._one_load:
            read = asyncio.to_thread(_describe, folder, version)
            found = await within(read, READ_SECONDS, "reading the model folder")
            async with self._lock.drained():
                former, self._loaded = self._loaded, None
                try:
                    if not self._host.live or self._shape != found.shape:
                        await self._start(found)
                        former = None
                    else:
                        await self._swap(found, former)
                    self._loaded = replace(found, checksum=await self._checksum(found, former))
                except BaseException:
                    await self._stop()
                    raise
            _log.info("weights loaded", weight_version=version, checksum=self._loaded.checksum)

    async def _start(self, found: _Loaded) -> None:
        self._shape, self._asleep = found.shape, False
        await self._host.start(found.folder)
        await within(self._host.core.update_weight_version(found.version), self._swap_seconds, "naming the version")

    async def _swap(self, found: _Loaded, former: _Loaded | None) -> None:
        """Load in place. Keys and values are of the old weights, so they go; so are image features, unless what makes
        them is the same in both.
        """
        core = self._host.core
        if self._asleep:
            await within(core.wake_up(), self._swap_seconds, "waking")
            self._asleep = False
        keep = former is not None and await asyncio.to_thread(same_tensors, former.folder, found.folder, sees)
        phases: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
            ("pausing", lambda: core.pause_generation(mode="wait", clear_cache=False)),
            ("loading", lambda: core.collective_rpc("load_checkpoint", args=(str(found.folder), keep))),
            *([] if keep else [("dropping image features", core.reset_encoder_cache)]),
            ("dropping keys and values", self._forget_prefixes),
            ("naming the version", lambda: core.update_weight_version(found.version)),
            ("resuming", core.resume_generation),
        ]
        for name, phase in phases:
            await within(phase(), self._swap_seconds, name)

    async def _forget_prefixes(self) -> None:
        if not await self._host.core.reset_prefix_cache():
            raise Unavailable("the engine still holds keys and values of the old weights: load the new ones again")

    async def _checksum(self, found: _Loaded, former: _Loaded | None) -> str:
        """Of what the engine holds. Raises Unavailable when that cannot be the checkpoint.

        vLLM fuses and packs tensors, so that files cannot tell what it should be. But one version always has the same,
        and two have different ones, unless their tensors are equal. On a CPU, linear layers are packed out of the sums'
        sight, so there two versions may well agree.
        """
        digests = await within(self._host.core.compute_weight_checksums(), self._swap_seconds, "summing the weights")
        whole = hashlib.sha256(repr([sorted(one.items()) for one in digests]).encode()).hexdigest()
        if self._checksums.setdefault(found.version, whole) != whole:
            raise Unavailable(f"weights {found.version} were loaded with another checksum than before: load them again")
        if former is None or former.checksum != whole or former.version == found.version or self._options.cpu:
            return whole
        if not await asyncio.to_thread(same_tensors, former.folder, found.folder):
            raise Unavailable(f"the engine kept weights {former.version}: load {found.version} again")
        return whole

    async def _stop(self) -> None:
        self._loaded, self._asleep = None, False
        await self._host.stop()

    def _prompts(self, request: SamplingRequest, loaded: _Loaded) -> list[list[int]]:
        """Token ids of each prompt, each image as one place holder, which vLLM expands."""
        for index, prompt in enumerate(request.prompts):
            check_length(index, prompt, loaded.tokenizer, self._host.core.model_config.max_model_len)
        return [
            [*loaded.prompts.unexpanded(prompt.turns), *prefix_ids(loaded.tokenizer, prompt.prefix)]
            for prompt in request.prompts
        ]

    async def _sample(
        self, request: SamplingRequest, index: int, ids: list[int], loaded: _Loaded, growing: GrowingOutputs | None
    ) -> tuple[Any, Tally]:
        """The finished output of one prompt, and what it took."""
        prompt = request.prompts[index]
        room_for(index, len(ids), self._host.core.model_config.max_model_len)
        sampling = parameters(prompt, request, loaded.vocabulary.ends, loaded.suppressed, growing=growing is not None)
        name = f"rollout-{next(self._numbers)}"
        with self._ledger.open(name, sampling.n) as tally:
            asked: dict[str, Any] = {"prompt_token_ids": ids}
            if prompt.images:
                asked["multi_modal_data"] = {"image": list(prompt.images)}
            grown = None if growing is None else growing.grown
            output = await self._host.sample(name, asked, sampling, grown, field=f"prompts.{index}")
            require_version(output, loaded.version)
            return output, await tally.whole()


def _describe(folder: Path, weight_version: str) -> _Loaded:
    processor = load_processor(folder)
    configured = GenerationConfig.from_pretrained(folder, local_files_only=True)
    digest = hashlib.sha256()
    for name in SHAPE_FILES:
        path = folder / name
        digest.update(name.encode() + (path.read_bytes() if path.is_file() else b""))
    return _Loaded(
        version=weight_version,
        folder=folder,
        shape=digest.hexdigest(),
        tokenizer=processor.tokenizer,
        vocabulary=TokenizerVocabulary(processor.tokenizer, stop_ids(configured.eos_token_id, processor.tokenizer)),
        prompts=PromptEncoder(processor),
        suppressed=tuple(suppressed_ids(processor.tokenizer)),
    )
