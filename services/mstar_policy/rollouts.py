"""Handles a rollout request: limits waiting work, decodes images, then has the engine sample."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from PIL.Image import Image

from mstar.api.images import ImageInput
from mstar.api.policy import RefusedPrompt, RolloutReply, RolloutRequest
from mstar.errors import InvalidInput, TooLarge, TooManyRequests
from mstar.types import Response
from mstar_artefacts.images import ImageStore
from mstar_models.chat import question_turns
from mstar_models.images import ImageGate, check_together
from mstar_policy.engine import Engine, EnginePrompt, Generation, SamplingRequest, TokenCallback
from mstar_policy.text import Vocabulary
from mstar_web.quotas import spend

RETRY_AFTER_SECONDS = 5.0


def sampling_request(request: RolloutRequest, images: Sequence[Sequence[Image]] = ()) -> SamplingRequest:
    """Translate a rollout request for the engine; `images`: those of each prompt, if they are decoded already."""
    prompts = tuple(
        EnginePrompt(
            turns=question_turns(prompt.question, prompt.system, len(prompt.images)),
            images=tuple(images[place]) if images else (),
            prefix=prompt.prefix,
            prefix_ids=prompt.prefix_ids,
            n=prompt.n,
            temperature=prompt.temperature,
            seed=prompt.seed,
        )
        for place, prompt in enumerate(request.prompts)
    )
    return SamplingRequest(
        prompts, max_tokens=request.max_tokens, top_p=request.top_p, weight_version=request.weight_version
    )


def rollout_reply(request: RolloutRequest, generation: Generation) -> RolloutReply:
    """The reply body for what the engine sampled. Whole responses come with the ends of their steps."""
    vocabulary, separator = generation.vocabulary, request.step_separator
    samples = tuple(
        own if vocabulary is None or prompt.prefix or prompt.prefix_ids else _with_steps(own, vocabulary, separator)
        for prompt, own in zip(request.prompts, generation.samples, strict=True)
    )
    return RolloutReply(
        weight_version=generation.weight_version,
        samples=samples,
        token_logprobs=generation.token_logprobs if request.logprobs else None,
        usage=generation.usage,
        vocabulary="" if vocabulary is None else vocabulary.digest,
    )


def _with_steps(samples: Sequence[Response], vocabulary: Vocabulary, separator: str) -> tuple[Response, ...]:
    ends = (vocabulary.step_ends(one.token_ids, separator) for one in samples)
    return tuple(one.model_copy(update={"step_ends": own}) for one, own in zip(samples, ends, strict=True))


def _complete(
    reply: RolloutReply, places: Sequence[int], refused: Mapping[int, InvalidInput], count: int
) -> RolloutReply:
    """The reply with empty samples where a prompt was refused."""
    if not refused:
        return reply
    samples = dict(zip(places, reply.samples, strict=True))
    logprobs = None if reply.token_logprobs is None else dict(zip(places, reply.token_logprobs, strict=True))
    return reply.model_copy(
        update={
            "samples": tuple(samples.get(place, ()) for place in range(count)),
            "token_logprobs": logprobs and tuple(logprobs.get(place, ()) for place in range(count)),
            "refused": tuple(RefusedPrompt(index=place, detail=refused[place].detail) for place in sorted(refused)),
        }
    )


class Rollouts:
    """Admits requests, decodes their images and has the engine sample."""

    def __init__(self, engine: Engine, gate: ImageGate, images: ImageStore, waiting_rows: int) -> None:
        self.engine = engine
        self._gate = gate
        self._images = images
        self._limit = waiting_rows
        self.rows = 0
        """Samples in progress or waiting."""

    async def sample(self, request: RolloutRequest) -> RolloutReply:
        """Sample every prompt, but for those that the model does not take, which the reply names.

        Raises InvalidInput for text that is not valid Unicode and where no prompt is taken, and what `generate` raises.
        """
        _check_text(request)
        with self._admitted(sum(prompt.n for prompt in request.prompts)):
            images = await self._decoded([prompt.images for prompt in request.prompts])
            return await self._sampled(request, images)

    async def _sampled(self, request: RolloutRequest, images: Sequence[tuple[Image, ...]]) -> RolloutReply:
        places, refused = list(range(len(request.prompts))), dict[int, InvalidInput]()
        while True:
            asked = request.model_copy(update={"prompts": tuple(request.prompts[place] for place in places)})
            try:
                generation = await self.engine.generate(sampling_request(asked, [images[place] for place in places]))
            except InvalidInput as error:
                own = (error.field or "").removeprefix("prompts.")
                if not own.isdecimal() or len(places) == 1:
                    raise
                # An engine names one prompt at a time, so the others are asked for again without it.
                # A prompt is refused before its request is sampled, and what was encoded is remembered.
                place = places.pop(int(own))
                refused[place] = error
            else:
                # Thousands of responses take a while to cut, and other requests want the event loop.
                reply = await asyncio.to_thread(rollout_reply, asked, generation)
                return _complete(reply, places, refused, len(request.prompts))

    async def generate(
        self,
        request: SamplingRequest,
        images: Sequence[Sequence[ImageInput]],
        on_tokens: TokenCallback | None = None,
    ) -> Generation:
        """Sample every prompt; `images` holds those of each, `on_tokens` gets the first one's tokens as they come.

        Raises TooLarge for a request that could never be admitted, TooManyRequests while others leave no room, and
        what the image gate and the engine raise.
        """
        with self._admitted(sum(prompt.n for prompt in request.prompts)):
            found = await self._decoded(images)
            prompts = tuple(replace(prompt, images=own) for prompt, own in zip(request.prompts, found, strict=True))
            return await self.engine.generate(replace(request, prompts=prompts), on_tokens)

    def check_room(self) -> None:
        """Raise TooManyRequests when no request can be admitted now, so that its body need not be read."""
        if self.rows >= self._limit:
            raise TooManyRequests(f"{self.rows} samples are in progress already", retry_after=RETRY_AFTER_SECONDS)

    async def _decoded(self, images: Sequence[Sequence[ImageInput]]) -> list[tuple[Image, ...]]:
        found = await asyncio.to_thread(self._resolve, images)
        # By identity: the gate gives one object for an image that several prompts show.
        seen = {id(image): image for own in found for image in own}.values()
        spend(images=len(seen), megapixels=sum(image.width * image.height for image in seen) / 1e6)
        return found

    def _resolve(self, images: Sequence[Sequence[ImageInput]]) -> list[tuple[Image, ...]]:
        # Many prompts share an image: fetch and decode each once.
        distinct = dict.fromkeys(image for own in images for image in own)
        self._images.bring(image.sha256 for image in distinct if image.sha256 is not None)
        found = {image: self._gate.resolve(image, self._images) for image in distinct}
        resolved = [tuple(found[image] for image in own) for own in images]
        for own in resolved:
            check_together(own)
        return resolved

    @contextmanager
    def _admitted(self, rows: int) -> Iterator[None]:
        # Not 429: waiting never makes room for it.
        if rows > self._limit:
            raise TooLarge(f"request asks for {rows} samples; at most {self._limit} fit in one", field="prompts")
        if self.rows + rows > self._limit:
            raise TooManyRequests(f"{self.rows} samples are in progress already", retry_after=RETRY_AFTER_SECONDS)
        self.rows += rows
        try:
            yield
        finally:
            self.rows -= rows


def check_unicode(text: str, field: str) -> None:
    """Raise InvalidInput for a lone surrogate, which JSON can carry and tokenizers cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{field} holds a lone surrogate: send valid Unicode", field=field) from None


def _check_text(request: RolloutRequest) -> None:
    for index, prompt in enumerate(request.prompts):
        for name in ("question", "system", "prefix"):
            check_unicode(getattr(prompt, name) or "", f"prompts.{index}.{name}")
