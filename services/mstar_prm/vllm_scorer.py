"""The scorer on vLLM: one request of one token for each distinct beginning that ends a step.

vLLM's prefix cache computes prompt, image and shared steps once; the log-probabilities of the two label tokens give the
probability of the good one. On small models and on CPUs `hf_scorer` needs a fraction of the time, since a tree is one
pass and not a request for each of its steps; this one is for PRMs that are spread over several GPUs. Loading starts
another engine: a run loads its PRM once.
"""

import asyncio
import itertools
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from PIL.Image import Image

from mstar.api.policy import WeightsState
from mstar.errors import Internal, InvalidInput, TooLarge, TooManyRequests, WeightVersionMismatch
from mstar.layout import STEP_SEPARATOR
from mstar.prm_schemes import LabelTokens
from mstar.steps import ArtefactRef
from mstar_artefacts.storage import Storage, storage_of
from mstar_models.chat import Turn, question_turns
from mstar_models.checkpoint import MODEL_FOLDER, check_finite, folder_version
from mstar_models.drain_lock import DrainLock, within
from mstar_models.encoding import PromptEncoder, encode_segments
from mstar_models.image_places import image_token, images_encoded
from mstar_models.loading import load_processor
from mstar_models.spelling import cut, vocabulary_digest
from mstar_models.suitability import require_configured
from mstar_models.vllm_core import VllmOptions, make_core, require_supported
from mstar_models.vllm_host import START_SECONDS, Make, VllmHost, all_or_none
from mstar_prm.schemes.folder import declared_scheme
from mstar_prm.schemes.label_tokens import known_ids
from mstar_prm.scorer import Segments, Texts, WorkCounts, no_weights, pieces

VERIFY_SECONDS = 1800.0
DRAIN_SECONDS = 600.0
NAME_SECONDS = 300.0


@dataclass(frozen=True)
class _Served:
    version: str
    name: str
    prompts: PromptEncoder
    labels: tuple[int, int]
    vocabulary: str
    sampling: Any
    image_token: int | None
    separator: str
    """Of a request that says nothing of it."""


class VllmScorer:
    """A `Scorer` over vLLM."""

    def __init__(
        self,
        home: Path | Storage,
        options: VllmOptions,
        *,
        waiting_tokens: int,
        make: Make = make_core,
        start_seconds: float = START_SECONDS,
    ) -> None:
        """`waiting_tokens`: of requests under way and waiting, before others are refused."""
        require_supported()
        self.work = WorkCounts()
        self._store = storage_of(home).artefacts()
        self._limit = waiting_tokens
        self._waiting = 0
        self._host = VllmHost(options, make, start_seconds)
        self._served: _Served | None = None
        self._lock = DrainLock(DRAIN_SECONDS)
        self._one_load = asyncio.Lock()
        self._numbers = itertools.count()
        # A tokenizer has settings that a call switches for its time: two threads would mix them up.
        self._encoding = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoding")

    def weights(self) -> WeightsState:
        served = self._served
        # An engine may die while nobody asks it anything.
        if served is None or not self._host.live:
            return WeightsState(weight_version="", ready=False, model="")
        return WeightsState(
            weight_version=served.version,
            ready=True,
            model=served.name,
            vocabulary=served.vocabulary,
            dtype=str(self._host.core.model_config.dtype).removeprefix("torch."),
            step_separator=served.separator,
        )

    async def load(self, ref: ArtefactRef) -> None:
        folder = await within(asyncio.to_thread(self._verified, ref), VERIFY_SECONDS, "verifying the checkpoint")
        await self._serve(folder, ref.version)

    async def load_folder(self, folder: Path) -> None:
        version = await within(asyncio.to_thread(folder_version, folder), VERIFY_SECONDS, "verifying the folder")
        await self._serve(folder, version)

    async def sleep(self) -> None:
        async with self._one_load, self._lock.drained():
            await self._stop()

    async def score(
        self,
        question: str,
        images: Sequence[Image],
        responses: Sequence[Segments],
        version: str | None,
        system: str = "",
        separator: str = STEP_SEPARATOR,
    ) -> tuple[str, list[tuple[float, ...]]]:
        async with self._lock.using():
            served = self._serving(version)
            context = int(self._host.core.model_config.max_model_len)
            encode = asyncio.get_running_loop().run_in_executor
            asked = (served, context, question_turns(question, system, len(images)), images, responses, separator)
            prompt, beginnings = await encode(self._encoding, _beginnings, *asked)
            distinct = list(dict.fromkeys(one for own in beginnings for one in own))
            with self._admitted(sum(map(len, distinct))):
                # Sent together: vLLM runs them as one batch, and the longer beginnings find the shorter ones in its
                # cache.
                steps = (self._step(served, [*prompt, *one], images) for one in distinct)
                scores = dict(zip(distinct, await all_or_none(steps), strict=True))
        return served.version, [tuple(scores[one] for one in own) for own in beginnings]

    async def count_tokens(
        self,
        question: str,
        images: Sequence[Image],
        responses: Sequence[Segments],
        system: str = "",
        separator: str = STEP_SEPARATOR,
    ) -> int:
        served = self._serving(None)
        context = int(self._host.core.model_config.max_model_len)
        asked = (served, context, question_turns(question, system, len(images)), images, responses, separator)
        encode = asyncio.get_running_loop().run_in_executor
        prompt, beginnings = await encode(self._encoding, _beginnings, *asked)
        return sum(len(prompt) + len(own[-1]) for own in beginnings)

    async def close(self) -> None:
        async with self._one_load:
            await self._stop()
        await asyncio.to_thread(self._encoding.shutdown)

    def _serving(self, version: str | None) -> _Served:
        served = self._served
        if served is None or not self._host.live:
            raise no_weights()
        if version is not None and version != served.version:
            raise WeightVersionMismatch(f"{served.version} is loaded, not {version}", field="model_version")
        return served

    def _verified(self, ref: ArtefactRef) -> Path:
        folder = self._store.verify(ref, MODEL_FOLDER)
        check_finite(folder, ref.id)
        return folder

    async def _serve(self, folder: Path, version: str) -> None:
        """Start an engine in place of the one that serves. Fails whole: nothing is served then until a load."""
        async with self._one_load:
            reading = asyncio.to_thread(_processor, folder)
            processor = await within(reading, VERIFY_SECONDS, "reading the processor")
            # Before the old engine ends: a folder of another scheme is refused, and the old weights go on serving.
            scheme = _scheme(folder, processor.tokenizer)
            labels = known_ids(processor.tokenizer, (scheme.good, scheme.bad))
            async with self._lock.drained():
                await self._stop()
                try:
                    await self._host.start(folder)
                    naming = self._host.core.update_weight_version(version)
                    await within(naming, NAME_SECONDS, "naming the version")
                except BaseException:
                    await self._stop()
                    raise
                name = version.partition("@")[0]
                vocabulary = vocabulary_digest(processor.tokenizer)
                self._served = _Served(
                    version=version,
                    name=name,
                    prompts=PromptEncoder(processor),
                    labels=labels,
                    vocabulary=vocabulary,
                    sampling=_one_token(labels),
                    image_token=image_token(folder),
                    separator=scheme.step_separator,
                )

    async def _stop(self) -> None:
        self._served = None
        await self._host.stop()

    @contextmanager
    def _admitted(self, tokens: int) -> Iterator[None]:
        if tokens > self._limit:
            detail = f"the responses have {tokens} tokens; at most {self._limit} fit in a request"
            raise TooLarge(detail, field="responses")
        if self._waiting + tokens > self._limit:
            raise TooManyRequests("too much work is waiting: send this again later", retry_after=2)
        self._waiting += tokens
        try:
            yield
        finally:
            self._waiting -= tokens

    async def _step(self, served: _Served, ids: list[int], images: Sequence[Image]) -> float:
        """Probability of the good label after these tokens."""
        asked = {"prompt_token_ids": ids, **({"multi_modal_data": {"image": list(images)}} if images else {})}
        name = f"step-{next(self._numbers)}"
        finished = await self._host.sample(name, asked, served.sampling, field="responses")
        known = finished.num_cached_tokens or 0
        self.work.forwards += 1
        self.work.tokens += len(finished.prompt_token_ids) - known
        self.work.images += len(images_encoded(finished.prompt_token_ids, served.image_token, len(images), known))
        found = finished.outputs[0].logprobs[0]
        good, bad = (float(found[label].logprob) for label in served.labels)
        if not (math.isfinite(good) and math.isfinite(bad)):
            raise Internal("the model gave a score that is not a number: its weights may be damaged")
        # Softmax over the two labels alone; the normalizer over the whole vocabulary cancels.
        return 1 / (1 + math.exp(bad - good))


def _processor(folder: Path) -> Any:
    """The folder's processor, once its tokens are the model's."""
    processor = load_processor(folder)
    require_configured(folder, processor)
    return processor


def _scheme(folder: Path, tokenizer: Any) -> LabelTokens:
    """The folder's scheme. Raises InvalidInput for one whose score is not what the model writes next."""
    declared = declared_scheme(folder, tokenizer)
    if not isinstance(declared, LabelTokens) or declared.step_tag is not None:
        raise InvalidInput(
            f"model folder {folder.name} scores steps by {declared.scheme}, and the vllm engine reads label tokens at "
            "step ends only: set MSTAR_PRM_ENGINE=transformers",
            field="model",
        )
    return declared


def _one_token(labels: tuple[int, int]) -> Any:
    from vllm import SamplingParams

    return SamplingParams(max_tokens=1, temperature=0.0, logprob_token_ids=list(labels), detokenize=False)


def _beginnings(
    served: _Served,
    context: int,
    turns: Sequence[Turn],
    images: Sequence[Image],
    responses: Sequence[Segments],
    separator: str,
) -> tuple[list[int], list[list[tuple[int, ...]]]]:
    """Tokens of the prompt, and for each response those up to the end of each of its segments."""
    tokenizer = served.prompts.processor.tokenizer

    def encode(texts: Texts) -> list[tuple[int, ...]]:
        return cut(*encode_segments(tokenizer, texts, separator))

    whole = len(served.prompts.encode_turns(turns, images).input_ids)
    found = []
    for place, response in enumerate(responses):
        segments = pieces(place, response, tokenizer, encode)
        ids = [token for segment in segments for token in segment]
        # One token is sampled after it.
        if whole + len(ids) + 1 > context:
            detail = f"with its prompt it has {whole + len(ids)} tokens; {context - 1} fit"
            raise InvalidInput(f"response {place} is too long: {detail}", field=f"responses.{place}")
        found.append([tuple(ids[:end]) for end in accumulate(map(len, segments))])
    # Counted with images expanded; sent with one place holder an image, which vLLM expands itself.
    return served.prompts.unexpanded(turns), found
