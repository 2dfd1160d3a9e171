"""Requests to the transformers engine as jobs: their prompts encoded, and their samples made into a reply.

What this leaves out: when a job is worked on, and with which others (`hf_engine`).
"""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from math import fsum
from typing import Any

from mstar.api.policy import Usage
from mstar.types import FinishReason, Response
from mstar_models.encoding import PromptEncoder
from mstar_policy.engine import Delta, EnginePrompt, Generation, SamplingRequest, TokenCallback
from mstar_policy.hf_batches import BatchLimits
from mstar_policy.hf_decoding import Continuation, Decoder
from mstar_policy.hf_prefill import PromptPrefix
from mstar_policy.hf_sampling import Draw
from mstar_policy.prompts import check_length, naming, prefix_ids, room_for
from mstar_policy.text import Vocabulary, text_of


@dataclass(frozen=True)
class Loaded:
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
    limits: BatchLimits


class LoopCallback:
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
class Job:
    """A request in progress: its distinct prefixes by prompt, and where each prompt's samples are."""

    request: SamplingRequest
    on_tokens: LoopCallback | None = None
    reply: Future[Generation] = field(default_factory=Future)
    prefixes: list[list[PromptPrefix]] = field(default_factory=list)
    """Grouped by distinct images and question, whose computation is shared within the request."""
    places: list[tuple[PromptPrefix, int]] = field(default_factory=list)
    """For each prompt of the request its prefix, and the index of its first draw there."""
    samples: dict[int, list[Continuation]] = field(default_factory=dict)
    """Samples of each prefix, by its `id`."""
    prompt_tokens: int = 0
    images_encoded: int = 0
    abandoned: bool = False
    """The caller has gone: what is not sampled yet need not be."""


def encode(job: Job, loaded: Loaded) -> None:
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


def _draws(prompt: EnginePrompt, request: SamplingRequest, max_tokens: int) -> Iterator[Draw]:
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


def answer(job: Job, loaded: Loaded) -> None:
    """Give the caller the reply, or the error that making it ended with."""
    try:
        job.reply.set_result(_reply(job, loaded))
    except Exception as error:
        job.reply.set_exception(error)


def _reply(job: Job, loaded: Loaded) -> Generation:
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


def _response(sample: Continuation, vocabulary: Vocabulary, stops: Sequence[str]) -> Response:
    return Response(
        text=text_of(vocabulary, sample.token_ids, stops),
        token_ids=sample.token_ids,
        logprob=fsum(sample.logprobs),
        finish_reason=FinishReason.STOP if sample.stopped else FinishReason.LENGTH,
    )
