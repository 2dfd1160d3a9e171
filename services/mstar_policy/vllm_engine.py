"""The vLLM engine: an AsyncLLM in this process, whose core runs the model in a process of its own.

One request covers all samples of a prompt, so its image and its prefix are computed once; prompts that share a
question share both through vLLM's caches. New weights are loaded in place between requests: a load waits for running
ones, keeps later ones waiting, and drops every cache that the old weights filled. What this leaves out:
starting and stopping the engine (`vllm_host`), and vLLM's own HTTP server with its developer endpoints, which never
starts.
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

from mstar.api.policy import WeightsState
from mstar.errors import Unavailable
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.checkpoint import MODEL_FOLDER, check_finite, folder_version
from mstar_models.drain_lock import DrainLock, within
from mstar_models.encoding import PromptEncoder
from mstar_models.image_places import image_token
from mstar_models.loading import load_processor
from mstar_models.special_tokens import end_of_turn, suppressed_ids, turn_ends
from mstar_models.suitability import require_configured
from mstar_models.tensors import same_tensors, sees
from mstar_models.vllm_core import VllmOptions, make_core, require_supported
from mstar_models.vllm_host import Make, VllmHost, all_or_none
from mstar_policy.engine import EnginePrompt, Generation, SamplingRequest, TokenCallback, TokenView
from mstar_policy.prompts import (
    RETRY_AFTER_SECONDS,
    check_length,
    check_version,
    naming,
    prefix_ids,
    room_for,
)
from mstar_policy.text import TokenizerVocabulary, Vocabulary
from mstar_policy.vllm_requests import GrowingOutputs, parameters, reply, require_version
from mstar_policy.vllm_usage import Ledger, Tally
from mstar_web.loads import NO_WEIGHTS

SHAPE_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "processor_config.json", "chat_template.jinja")
"""When one of these files changes, a new engine is started; else only the weights are replaced."""
READ_SECONDS = 1800.0
"""Time limit for hashing a checkpoint, and for reading the other files of a model folder."""
DRAIN_SECONDS = 600.0
"""Time limit for running requests to end before a load."""
SWAP_SECONDS = 300.0
"""Time limit for each phase of a load inside vLLM."""
FREED_SHARE = 0.8
"""Share of the engine's memory that a sleep must free; else the engine is stopped instead."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Loaded:
    """One set of weights and everything that depends on its folder."""

    version: str
    folder: Path
    shape: str
    tokenizer: Any
    vocabulary: Vocabulary
    prompts: PromptEncoder
    suppressed: tuple[int, ...]
    image_token: int | None
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
        """`make` builds the engine instead of vLLM; `swap_seconds`: time limit for each phase of a load."""
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
        # `_one_load` keeps loads, sleep and close apart, `_lock` requests and loads; always taken in this order.
        self._lock = DrainLock(DRAIN_SECONDS)
        self._one_load = asyncio.Lock()
        self._numbers = itertools.count()
        # Calls change settings of the tokenizer while they run, so it must not be used by two threads at once.
        self._encoding = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoding")

    def weights(self) -> WeightsState:
        """See `Engine`."""
        loaded = self._serving()
        if loaded is None:
            return WeightsState(weight_version="", ready=False, model="")
        name = loaded.folder.name
        return WeightsState(
            weight_version=loaded.version,
            ready=True,
            model=name,
            checksum=loaded.checksum,
            vocabulary=loaded.vocabulary.digest,
            dtype=str(self._host.core.model_config.dtype).removeprefix("torch."),
        )

    async def load(self, ref: ArtefactRef) -> None:
        """See `Engine`. Also raises Unavailable when vLLM fails or a time limit is over; then no weights are loaded."""
        folder = await within(asyncio.to_thread(self._verified, ref), READ_SECONDS, "verifying the checkpoint")
        await self._serve(folder, ref.version)

    async def load_folder(self, folder: Path) -> None:
        """See `Engine`, and `load`."""
        version = asyncio.to_thread(folder_version, folder)
        await self._serve(folder, await within(version, READ_SECONDS, "reading the weights"))

    def vocabulary(self) -> Vocabulary:
        """See `Engine`. Raises Unavailable without weights."""
        loaded = self._serving()
        if loaded is None:
            raise Unavailable(NO_WEIGHTS, retry_after=RETRY_AFTER_SECONDS)
        return loaded.vocabulary

    async def generate(self, request: SamplingRequest, on_tokens: TokenCallback | None = None) -> Generation:
        """See `Engine`."""
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
        return reply(request, outputs, tallies, loaded.version, loaded.vocabulary, loaded.image_token)

    async def see(self, prompt: EnginePrompt) -> TokenView:
        """See `Engine`. vLLM names no positions; it expands place holders only when it samples.

        Raises Unavailable without weights.
        """
        async with self._lock.using():
            loaded = self._serving()
            if loaded is None:
                raise Unavailable(NO_WEIGHTS, retry_after=RETRY_AFTER_SECONDS)
            asked = SamplingRequest((replace(prompt, prefix="", prefix_ids=(), n=1, temperature=0.0),), max_tokens=1)
            encode = asyncio.get_running_loop().run_in_executor
            (ids,) = await encode(self._encoding, self._prompts, asked, loaded)
            output, _ = await self._sample(asked, 0, ids, loaded, None)
        return TokenView(tuple(output.prompt_token_ids))

    async def sleep(self) -> None:
        """See `Engine`. Raises Unavailable when vLLM fails or a time limit is over."""
        async with self._one_load, self._lock.drained():
            self._loaded = None
            if not self._host.live or not await self._slept_in_place():
                await self._stop()

    async def _slept_in_place(self) -> bool:
        """Whether the core freed its memory and keeps running. It keeps no weights: each sleep ends with a load."""
        if not self._options.sleeps_in_place:
            return False
        before = await self._free_memory()
        # Level 2 drops the weights; level 1 would copy them to host memory for a wake-up that never uses them.
        await within(self._host.core.sleep(level=2), self._swap_seconds, "sleeping")
        self._asleep = True
        freed = min(
            (after - free) / (total * self._options.memory_share)
            for (free, total), (after, _) in zip(before, await self._free_memory(), strict=True)
        )
        # Some versions of vLLM keep gigabytes, too much for the next user of the GPU; then only stopping helps.
        _log.info("asleep", freed_share=round(freed, 3))
        return freed >= FREED_SHARE

    async def _free_memory(self) -> list[tuple[int, int]]:
        """Free and total bytes of each worker's device."""
        asked = self._host.core.collective_rpc("device_memory")
        found: list[tuple[int, int]] = await within(asked, self._swap_seconds, "looking at the memory")
        return found

    async def close(self) -> None:
        """See `Engine`."""
        async with self._one_load:
            await self._stop()
        self._encoding.shutdown(wait=False)

    async def encoder_runs(self) -> int:
        """Images that the vision tower encoded since the last call (needs `count_encoder_runs`)."""
        found: list[dict[str, dict[str, int]]] = await self._host.core.collective_rpc("get_encoder_timing_stats")
        return sum(request["num_encoder_calls"] for request in found[0].values())

    def _serving(self) -> _Loaded | None:
        """The loaded weights; None when the engine has died meanwhile."""
        return self._loaded if self._host.live else None

    def _verified(self, ref: ArtefactRef) -> Path:
        folder = self.store.verify(ref, MODEL_FOLDER)
        check_finite(folder, ref.id)
        return folder

    async def _serve(self, folder: Path, version: str) -> None:
        """Load weights while no request runs. On failure, the old weights stay, or nothing is served until a load."""
        async with self._one_load:
            read = asyncio.to_thread(_describe, folder, version)
            found = await within(read, READ_SECONDS, "reading the model folder")
            async with self._lock.drained():
                # Nothing is served until the checksum is right: a load that is cut off leaves no weights, no mixture.
                former, self._loaded = self._loaded, None
                try:
                    if not self._host.live or self._shape != found.shape:
                        await self._start(found)
                        former = None
                    else:
                        await self._swap(found, former)
                    self._loaded = replace(found, checksum=await self._checksum(found, former))
                # A phase that is cut off leaves vLLM in an unknown state: the next load starts another engine.
                except BaseException:
                    await self._stop()
                    raise
            _log.info("weights loaded", weight_version=version, checksum=self._loaded.checksum)

    async def _start(self, found: _Loaded) -> None:
        self._shape, self._asleep = found.shape, False
        await self._host.start(found.folder)
        await within(self._host.core.update_weight_version(found.version), self._swap_seconds, "naming the version")

    async def _swap(self, found: _Loaded, former: _Loaded | None) -> None:
        """Load weights in place and drop what the old ones computed.

        Keys and values always go. Image features stay if the tensors that compute them are equal in both checkpoints.
        """
        core = self._host.core
        if self._asleep:
            await within(core.wake_up(), self._swap_seconds, "waking")
            self._asleep = False
        keep = former is not None and await asyncio.to_thread(same_tensors, former.folder, found.folder, sees)
        phases: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
            # With `clear_cache` a pause drops image features as well, and these may stay.
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
        """Checksum of the tensors in the engine. Raises Unavailable when they cannot be those of the checkpoint.

        vLLM fuses and packs tensors, so the expected checksum cannot be computed from the files. But one version always
        has the same checksum, and two versions have different ones unless their tensors are equal. On a CPU, vLLM packs
        linear layers where its checksum does not look, so there two versions may have the same.
        """
        digests = await within(self._host.core.compute_weight_checksums(), self._swap_seconds, "summing the weights")
        whole = hashlib.sha256(repr([sorted(one.items()) for one in digests]).encode()).hexdigest()
        # A version names bytes by their hash, so another sum means that some tensor was not replaced.
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
        """Token ids of each prompt, with one placeholder for each image, which vLLM expands.

        Raises InvalidInput for a prompt that is longer than the context.
        """
        found = []
        for index, prompt in enumerate(request.prompts):
            check_length(index, prompt, loaded.tokenizer, self._host.core.model_config.max_model_len)
            with naming(index):
                asked = loaded.prompts.unexpanded(prompt.turns)
            found.append([*asked, *prefix_ids(index, prompt, loaded.tokenizer)])
        return found

    async def _sample(
        self, request: SamplingRequest, index: int, ids: list[int], loaded: _Loaded, growing: GrowingOutputs | None
    ) -> tuple[Any, Tally]:
        """The finished output of one prompt, and what it cost. Raises InvalidInput or Unavailable."""
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
    require_configured(folder, processor, {end_of_turn(processor)})
    digest = hashlib.sha256()
    for name in SHAPE_FILES:
        path = folder / name
        # With the names, so that it counts which of the files is missing.
        digest.update(name.encode() + (path.read_bytes() if path.is_file() else b""))
    return _Loaded(
        version=weight_version,
        folder=folder,
        shape=digest.hexdigest(),
        tokenizer=processor.tokenizer,
        vocabulary=TokenizerVocabulary(processor.tokenizer, turn_ends(folder, processor)),
        prompts=PromptEncoder(processor),
        suppressed=tuple(suppressed_ids(processor.tokenizer)),
        image_token=image_token(folder),
    )
