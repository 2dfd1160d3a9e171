"""The transformers engine: one model in this process, run by a single thread.

Everything that touches the model runs in that thread, loading included, so a batch never sees two weight versions and
the event loop never blocks. Requests that wait when the thread becomes free are decoded together: many small ones cost
little more than one large one. A failure goes to the request that caused it, and to no other.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from math import fsum
from pathlib import Path
from typing import Any, TypeVar

import torch

from mstar.api.policy import Usage, WeightsState
from mstar.errors import Unavailable
from mstar.steps import ArtefactRef
from mstar.types import FinishReason, Response
from mstar_artefacts.store import ArtefactStore
from mstar_models.checkpoint import folder_version, load_checkpoint
from mstar_models.encoding import PromptEncoder
from mstar_models.image_places import require_marked_images
from mstar_models.loading import device_here, free_memory, load_model, load_processor
from mstar_models.special_tokens import end_of_turn, suppressed_ids, turn_ends
from mstar_models.suitability import require_decoder, require_fit, row_cache_obstacle
from mstar_policy.engine import Delta, Generation, Prompt, SamplingRequest, Seen, TokenCallback
from mstar_policy.hf_attention import use_grouped_attention
from mstar_policy.hf_batches import Limits, Memory, cache_budget, windows
from mstar_policy.hf_decoding import Abandoned, Decoder, Sample
from mstar_policy.hf_own_cache import OwnCacheDecoder
from mstar_policy.hf_prefill import PromptPrefix, prompt_positions
from mstar_policy.hf_sampling import Draw
from mstar_policy.prompts import (
    RETRY_AFTER_SECONDS,
    check_length,
    check_version,
    naming,
    prefix_ids,
    room_for,
)
from mstar_policy.text import TokenizerVocabulary, Vocabulary, text_of
from mstar_web.loads import NO_WEIGHTS

Result = TypeVar("Result")


@dataclass(frozen=True)
class _Loaded:
    """One set of weights and everything that depends on it."""

    version: str
    name: str
    tokenizer: Any
    vocabulary: Vocabulary
    encoder: PromptEncoder
    decoder: Decoder
    context: int
    """Tokens that prompt and response may have together."""
    size: int
    """Rows of the embeddings."""
    limits: Limits


class _LoopCallback:
    """Reports tokens of the first prompt in the caller's event loop.

    Other prompts of the request may share its prefix; their draws come after its own and are not reported.
    """

    def __init__(self, on_tokens: TokenCallback, samples: int) -> None:
        self._on_tokens, self._samples = on_tokens, samples
        self._loop = asyncio.get_running_loop()
        self.called = False

    def __call__(self, delta: Delta) -> None:
        if delta.sample < self._samples:
            self.called = True
            self._loop.call_soon_threadsafe(self._on_tokens, delta)


@dataclass
class _Job:
    """A request in progress: its distinct prefixes by prompt, and where each prompt's samples are."""

    request: SamplingRequest
    on_tokens: _LoopCallback | None = None
    reply: Future[Generation] = field(default_factory=Future)
    prefixes: list[list[PromptPrefix]] = field(default_factory=list)
    """Grouped by distinct images and question, whose computation is shared within the request."""
    places: list[tuple[PromptPrefix, int]] = field(default_factory=list)
    """For each prompt of the request its prefix, and the index of its first draw there."""
    samples: dict[int, list[Sample]] = field(default_factory=dict)
    """Samples of each prefix, by its `id`."""
    prompt_tokens: int = 0
    images_encoded: int = 0
    abandoned: bool = False
    """The caller has gone: what is not sampled yet need not be."""


_Part = tuple[_Job, list[PromptPrefix]]
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
        self._loaded: _Loaded | None = None
        self._waiting: deque[_Job] = deque()
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
        job = _Job(request, None if on_tokens is None else _LoopCallback(on_tokens, request.prompts[0].n))
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

    async def see(self, prompt: Prompt) -> Seen:
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
        budget = cache_budget(self._cache_bytes, _memory_beside(model), self._gpu_share)
        limits = Limits(self._batch_rows, budget // _cache_bytes_per_token(text, model.dtype))
        stop = turn_ends(folder, processor)
        vocabulary = TokenizerVocabulary(tokenizer, stop)
        replaced = self._loaded is not None
        self._loaded = _Loaded(
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

    def _seen(self, prompt: Prompt) -> Seen:
        loaded = self._loaded
        if loaded is None:
            raise Unavailable(NO_WEIGHTS, retry_after=RETRY_AFTER_SECONDS)
        encoded = loaded.encoder.encode_turns(prompt.turns, prompt.images)
        return Seen(
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
                _answer(job, loaded)

    def _take(self) -> list[_Job]:
        jobs: list[_Job] = []
        rows = 0
        with self._guard:
            while self._waiting and rows < self._batch_rows:
                job = self._waiting.popleft()
                # False when the caller has disconnected meanwhile.
                if job.reply.set_running_or_notify_cancel():
                    jobs.append(job)
                    rows += sum(prompt.n for prompt in job.request.prompts)
        return jobs

    def _prepare(self, job: _Job, loaded: _Loaded | None) -> bool:
        """Encode the prompts of a job and return True; a job that cannot be done gets its error as the reply."""
        try:
            check_version(job.request, None if loaded is None else loaded.version)
            assert loaded is not None
            _encode(job, loaded)
        except Exception as error:
            job.reply.set_exception(error)
            return False
        return True

    def _decode(self, window: Sequence[_Part], loaded: _Loaded) -> None:
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


def _encode(job: _Job, loaded: _Loaded) -> None:
    """Fill in prefixes and places: prompts that differ only in temperature, seed or n share a prefix.

    Raises InvalidInput for a prompt that leaves no room for a response.
    """
    # The encoder gives the same object for the same turns and images, and the job keeps it alive.
    known: dict[int, dict[tuple[int, ...], PromptPrefix]] = {}
    for index, prompt in enumerate(job.request.prompts):
        check_length(index, prompt, loaded.tokenizer, loaded.context)
        with naming(index):
            encoded = loaded.encoder.encode_turns(prompt.turns, prompt.images)
        own = known.setdefault(id(encoded), {})
        response = tuple(prefix_ids(index, prompt, loaded.tokenizer, loaded.size))
        prefix = PromptPrefix(encoded, response, [], job.on_tokens if index == 0 else None)
        prefix = own.setdefault(response, prefix)
        room = room_for(index, len(prefix), loaded.context)
        job.places.append((prefix, len(prefix.draws)))
        prefix.draws.extend(_draws(prompt, job.request, min(job.request.max_tokens, room)))
    job.prefixes = [list(own.values()) for own in known.values()]


def _draws(prompt: Prompt, request: SamplingRequest, max_tokens: int) -> Iterator[Draw]:
    return (
        Draw(
            seed=prompt.seed,
            index=index,
            temperature=prompt.temperature,
            top_p=request.top_p,
            max_tokens=max_tokens,
            stop=request.stop,
            ignore_eos=request.ignore_eos,
            likely=request.top_logprobs,
        )
        for index in range(prompt.n)
    )


def _answer(job: _Job, loaded: _Loaded) -> None:
    try:
        job.reply.set_result(_reply(job, loaded))
    except Exception as error:
        job.reply.set_exception(error)


def _reply(job: _Job, loaded: _Loaded) -> Generation:
    drawn = [
        job.samples[id(prefix)][first : first + prompt.n]
        for prompt, (prefix, first) in zip(job.request.prompts, job.places, strict=True)
    ]
    samples = tuple(tuple(_response(sample, loaded.vocabulary, job.request.stop) for sample in own) for own in drawn)
    usage = Usage(
        prompt_tokens=job.prompt_tokens,
        completion_tokens=sum(len(response.token_ids) for responses in samples for response in responses),
        images_encoded=job.images_encoded,
    )
    return Generation(
        weight_version=loaded.version,
        samples=samples,
        token_logprobs=tuple(tuple(sample.logprobs for sample in own) for own in drawn),
        likely=tuple(tuple(sample.likely for sample in own) for own in drawn) if job.request.top_logprobs else (),
        usage=usage,
        vocabulary=loaded.vocabulary,
    )


def _response(sample: Sample, vocabulary: Vocabulary, stops: Sequence[str]) -> Response:
    return Response(
        text=text_of(vocabulary, sample.token_ids, stops),
        token_ids=sample.token_ids,
        logprob=fsum(sample.logprobs),
        finish_reason=FinishReason.STOP if sample.stopped else FinishReason.LENGTH,
    )


def _memory_beside(model: torch.nn.Module) -> Memory | None:
    """Of the GPU that a model is on, once nothing else of this process is there; None: it is on the CPU."""
    tensors = [*model.parameters(), *model.buffers()]
    device = tensors[0].device
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    weights = sum(one.nbytes for one in tensors)
    return Memory.beside(weights, free=free, reserved=torch.cuda.memory_reserved(device), total=total)


def _cache_bytes_per_token(text: Any, dtype: torch.dtype) -> int:
    """Bytes of the keys and values of one token in all layers."""
    # Layers may differ in the number and width of their heads, as Gemma 4's do.
    return sum(map(_elements_per_token, text.per_layer_config)) * dtype.itemsize


def _elements_per_token(layer: Any) -> int:
    """Elements of the keys and values of one token in a layer with this configuration."""
    keys = values = getattr(layer, "head_dim", None) or layer.hidden_size // layer.num_attention_heads
    if getattr(layer, "kv_lora_rank", None):
        # transformers keeps latent attention's keys and values expanded: their two widths are their own.
        keys, values = layer.qk_nope_head_dim + layer.qk_rope_head_dim, layer.v_head_dim
    return int((keys + values) * layer.num_key_value_heads)
