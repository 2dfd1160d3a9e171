"""The transformers engine: one model in this process, run by a single thread.

Everything that touches the model runs in that thread, loading included, so a batch never sees two weight versions and
the event loop never blocks. Requests that wait when the thread becomes free are decoded together: many small ones cost
little more than one large one. A failure goes to the request that caused it, and to no other.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import torch

from mstar.api.policy import WeightsState
from mstar.errors import Unavailable
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.checkpoint import folder_version, load_checkpoint
from mstar_models.encoding import PromptEncoder
from mstar_models.image_places import require_marked_images
from mstar_models.loading import device_here, free_memory, load_model, load_processor
from mstar_models.special_tokens import end_of_turn, suppressed_ids, turn_ends
from mstar_models.suitability import require_decoder, require_fit, row_cache_obstacle
from mstar_policy.engine import EnginePrompt, Generation, SamplingRequest, TokenCallback, TokenView
from mstar_policy.hf_attention import use_grouped_attention
from mstar_policy.hf_batches import BatchLimits, windows
from mstar_policy.hf_decoding import Abandoned, Decoder
from mstar_policy.hf_jobs import Job, Loaded, LoopCallback, answer, encode
from mstar_policy.hf_memory import cache_budget, cache_bytes_per_token, memory_beside
from mstar_policy.hf_own_cache import OwnCacheDecoder
from mstar_policy.hf_prefill import PromptPrefix, prompt_positions
from mstar_policy.prompts import (
    RETRY_AFTER_SECONDS,
    check_version,
)
from mstar_policy.text import TokenizerVocabulary, Vocabulary
from mstar_web.loads import NO_WEIGHTS

Result = TypeVar("Result")


_Part = tuple[Job, list[PromptPrefix]]
"""Prefixes of one prompt."""


class HfEngine:
    """Implements `Engine` over transformers, on the GPU where there is one."""

    def __init__(
        self,
        store: ArtefactStore,
        batch_rows: int = 1024,
        cache_bytes: int | None = None,
        threads: int | None = None,
        gpu_share: float = 0.9,
    ) -> None:
        """`batch_rows`: most samples decoded together; `cache_bytes`: memory for their keys and values.

        None: what is left of `gpu_share` of the GPU's memory once the weights are there (`cache_budget`).
        """
        self._store = store
        self._batch_rows = batch_rows
        self._cache_bytes, self._gpu_share = cache_bytes, gpu_share
        self._loaded: Loaded | None = None
        self._waiting: deque[Job] = deque()
        self._guard = threading.Lock()
        self._closed = False
        prepare = (lambda: torch.set_num_threads(threads)) if threads is not None else None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine", initializer=prepare)

    def weights(self) -> WeightsState:
        """See `Engine`."""
        loaded = self._loaded
        if loaded is None:
            return WeightsState(weight_version="", ready=False, model="")
        return WeightsState(
            weight_version=loaded.version,
            ready=True,
            model=loaded.name,
            vocabulary=loaded.vocabulary.digest,
            dtype=str(loaded.decoder.model.dtype).removeprefix("torch."),
        )

    async def load(self, ref: ArtefactRef) -> None:
        """See `Engine`. Also raises Unavailable while the service stops."""
        await self._in_thread(lambda: self._serve(*load_checkpoint(self._store, ref), ref.version))

    async def load_folder(self, folder: Path) -> None:
        """See `Engine`. Also raises Unavailable while the service stops."""
        await self._in_thread(lambda: self._serve(load_model(folder), folder, folder_version(folder)))

    def vocabulary(self) -> Vocabulary:
        """See `Engine`. Raises Unavailable without weights."""
        loaded = self._loaded
        if loaded is None:
            raise Unavailable(NO_WEIGHTS, retry_after=RETRY_AFTER_SECONDS)
        return loaded.vocabulary

    async def generate(self, request: SamplingRequest, on_tokens: TokenCallback | None = None) -> Generation:
        """See `Engine`. Also raises Unavailable while the service stops."""
        job = Job(request, None if on_tokens is None else LoopCallback(on_tokens, request.prompts[0].n))
        with self._guard:
            self._check_open()
            self._waiting.append(job)
            # One call for each job, though a call takes many: one that finds the queue empty returns at once.
            self._thread.submit(self._work)
        try:
            return await asyncio.wrap_future(job.reply)
        except asyncio.CancelledError:
            # A job that waits is cancelled with its future; one under way is told to end after the current token.
            job.abandoned = True
            raise

    async def see(self, prompt: EnginePrompt) -> TokenView:
        """See `Engine`. Also raises Unavailable while the service stops."""
        return await self._in_thread(lambda: self._seen(prompt))

    async def sleep(self) -> None:
        """See `Engine`. Also raises Unavailable while the service stops."""
        await self._in_thread(self._forget)

    async def close(self) -> None:
        """See `Engine`. Requests that still wait get Unavailable."""
        with self._guard:
            self._closed = True
            left = [job for job in self._waiting if job.reply.set_running_or_notify_cancel()]
            self._waiting.clear()
        for job in left:
            job.reply.set_exception(_stopping())
        await asyncio.to_thread(self._thread.shutdown)

    async def _in_thread(self, action: Callable[[], Result]) -> Result:
        # Asked again there: `close` may come while this waits, and a shutdown still runs what is in the thread's queue.
        def unless_closed() -> Result:
            self._check_open()
            return action()

        with self._guard:
            self._check_open()
            waiting = self._thread.submit(unless_closed)
        return await asyncio.wrap_future(waiting)

    def _check_open(self) -> None:
        if self._closed:
            raise _stopping()

    def _serve(self, model: Any, folder: Path, version: str) -> None:
        """Replace the loaded model. Raises InvalidInput for one that cannot be decoded, and the old one stays."""
        # All that can fail comes before the assignment of `_loaded` at the end, so that a failed load changes nothing.
        require_decoder(model.config)
        processor = load_processor(folder)
        require_fit(folder, model, processor, {end_of_turn(processor)})
        require_marked_images(folder, processor)
        tokenizer = processor.tokenizer
        model.to(device_here())
        decoder: type[Decoder] = OwnCacheDecoder
        if row_cache_obstacle(model) is None:
            decoder = Decoder
            use_grouped_attention(model)
        text = model.config.get_text_config()
        budget = cache_budget(self._cache_bytes, memory_beside(model), self._gpu_share)
        limits = BatchLimits(self._batch_rows, budget // cache_bytes_per_token(text, model.dtype))
        stop = turn_ends(folder, processor)
        vocabulary = TokenizerVocabulary(tokenizer, stop)
        replaced = self._loaded is not None
        self._loaded = Loaded(
            version=version,
            name=folder.name,
            tokenizer=tokenizer,
            vocabulary=vocabulary,
            encoder=PromptEncoder(processor),
            decoder=decoder(model, stop, suppressed_ids(tokenizer), limits, vocabulary),
            context=int(text.max_position_embeddings),
            size=int(text.vocab_size),
            limits=limits,
        )
        if replaced:
            # The budget counts on the memory of the old weights.
            free_memory()

    def _seen(self, prompt: EnginePrompt) -> TokenView:
        loaded = self._loaded
        if loaded is None:
            raise Unavailable(NO_WEIGHTS, retry_after=RETRY_AFTER_SECONDS)
        encoded = loaded.encoder.encode_turns(prompt.turns, prompt.images)
        return TokenView(
            tuple(encoded.input_ids), tuple(map(tuple, prompt_positions(loaded.decoder.model, encoded).tolist()))
        )

    def _forget(self) -> None:
        self._loaded = None
        free_memory()

    def _work(self) -> None:
        """Answer waiting requests, about one batch of them; a single request may be larger than a batch."""
        loaded = self._loaded
        ready = [job for job in self._take() if self._prepare(job, loaded)]
        if loaded is None or not ready:
            return
        # Loads run in this thread too, so `loaded` stays what it is until every reply is there.
        prompts = [(job, prefixes) for job in ready for prefixes in job.prefixes]
        # Neighbours in length need the least padding.
        prompts.sort(key=lambda part: max(map(len, part[1])))
        for window in windows(prompts, loaded.limits):
            self._decode(window, loaded)
        for job in ready:
            if job.abandoned and not job.reply.done():
                job.reply.set_exception(Abandoned())
            if not job.reply.done():
                answer(job, loaded)

    def _take(self) -> list[Job]:
        jobs: list[Job] = []
        rows = 0
        with self._guard:
            while self._waiting and rows < self._batch_rows:
                job = self._waiting.popleft()
                # False when the caller has disconnected meanwhile.
                if job.reply.set_running_or_notify_cancel():
                    jobs.append(job)
                    rows += sum(prompt.n for prompt in job.request.prompts)
        return jobs

    def _prepare(self, job: Job, loaded: Loaded | None) -> bool:
        """Encode the prompts of a job and return True; a job that cannot be done gets its error as the reply."""
        try:
            check_version(job.request, None if loaded is None else loaded.version)
            assert loaded is not None
            encode(job, loaded)
        except Exception as error:
            job.reply.set_exception(error)
            return False
        return True

    def _decode(self, window: Sequence[_Part], loaded: Loaded) -> None:
        """Fill in samples. If a window of several jobs fails, each is tried alone: only the faulty one fails."""
        window = [(job, prefixes) for job, prefixes in window if not job.reply.done() and not job.abandoned]
        jobs = {id(job): job for job, _ in window}

        def is_abandoned() -> bool:
            return all(job.abandoned for job in jobs.values())

        try:
            # Only when everybody has gone: one who waits still needs the batch, and rows of the others cost little.
            found = loaded.decoder.run([prefixes for _, prefixes in window], is_abandoned) if window else []
        except Abandoned:
            return
        except Exception as error:
            for job in jobs.values():
                # Tokens that were sent to a caller cannot be taken back.
                if len(jobs) == 1 or (job.on_tokens is not None and job.on_tokens.called):
                    job.reply.set_exception(error)
                else:
                    self._decode([part for part in window if part[0] is job], loaded)
            return
        for (job, prefixes), drawn in zip(window, found, strict=True):
            job.samples |= {id(prefix): own for prefix, own in zip(prefixes, drawn.samples, strict=True)}
            job.prompt_tokens += drawn.computed
            job.images_encoded += prefixes[0].prompt.images


def _stopping() -> Unavailable:
    return Unavailable("the service is stopping: ask again", retry_after=RETRY_AFTER_SECONDS)
