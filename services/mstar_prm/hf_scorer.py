"""The scorer on transformers: one packed tree per question, the head at step ends only.

The hidden state at the last token of a step becomes its score by the model's scheme (`schemes`). What responses of a
question share is computed once.
"""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from transformers import DynamicCache

from mstar.api.policy import WeightsState
from mstar.errors import Internal, InvalidInput, TooLarge, WeightVersionMismatch
from mstar.layout import STEP_SEPARATOR
from mstar.steps import ArtefactRef
from mstar_artefacts.storage import Storage, storage_of
from mstar_models.attention import use_tree_attention
from mstar_models.checkpoint import folder_version, load_checkpoint
from mstar_models.drain_lock import DrainLock, within
from mstar_models.encoding import EncodedPrompt
from mstar_models.layout import SequenceLayout
from mstar_models.loading import free_memory
from mstar_models.packing import Packed
from mstar_models.spelling import vocabulary_digest
from mstar_models.trunk import run_trunk
from mstar_prm.batching import Batcher
from mstar_prm.prefixes import Prefixes, behind, digest, joined
from mstar_prm.schemes.folder import load_prm
from mstar_prm.schemes.interface import Scheme
from mstar_prm.scorer import Segments, WorkCounts, no_weights, pieces
from mstar_prm.short_of_memory import short_of_memory

Scores = tuple[float, ...]

DRAIN_SECONDS = 600.0
LENGTHS_TOGETHER = 1.5
"""How much longer than the shortest a sequence of one forward pass may be: the short ones are padded to it."""


@dataclass(frozen=True)
class _Served:
    """A model with what belongs to it; replaced as a whole, so a batch never sees a mix."""

    version: str
    name: str
    model: Any
    layout: SequenceLayout
    scheme: Scheme
    context: int
    prefixes: Prefixes


@dataclass(frozen=True)
class _Job:
    served: _Served
    prompt: EncodedPrompt
    packed: Packed
    key: bytes
    """What the prompt is known by."""


class HfScorer:
    """A `Scorer` in this process, on the GPU where there is one."""

    def __init__(
        self,
        home: Path | Storage,
        *,
        batch_tokens: int,
        waiting_tokens: int,
        prefix_bytes: int = 1 << 30,
        deterministic: bool = False,
    ) -> None:
        """`prefix_bytes`: memory for keys and values of prompts that may come back.

        `deterministic`: the numbers of a forward pass hang on its shape in the last bits. So each job has one of its
        own, and no prompt is remembered, since what is computed after one has another shape.
        """
        self.work = WorkCounts()
        self._prefix_bytes = 0 if deterministic else prefix_bytes
        self._deterministic = deterministic
        self._store = storage_of(home).artefacts()
        self._served: _Served | None = None
        self._batch_tokens = batch_tokens
        self._waiting_tokens = waiting_tokens
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # A tokenizer has settings that a call switches for its time: two threads would mix them up.
        self._encoding = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoding")
        self._lock = DrainLock(DRAIN_SECONDS)
        self._batches = Batcher[_Job, list[Scores]](self._score, batch_size=batch_tokens, waiting_size=waiting_tokens)

    def weights(self) -> WeightsState:
        served = self._served
        if served is None:
            return WeightsState(weight_version="", ready=False, model="")
        own = served.scheme.tokenizer
        return WeightsState(
            weight_version=served.version,
            ready=True,
            model=served.name,
            vocabulary="" if own is None else vocabulary_digest(own),
            dtype=str(served.model.dtype).removeprefix("torch."),
            step_separator=served.scheme.step_separator,
        )

    async def load(self, ref: ArtefactRef) -> None:
        loaded, _ = await asyncio.to_thread(load_checkpoint, self._store, ref, load_prm)
        self._served = await asyncio.to_thread(self._serve, ref.version, *loaded)

    async def load_folder(self, folder: Path) -> None:
        self._served = await asyncio.to_thread(self._serve_folder, folder)

    async def sleep(self) -> None:
        self._served = None
        # Requests hold the model that they began with, and one that was given up is worked on to the end of its batch.
        async with self._lock.drained():
            await within(asyncio.to_thread(self._batches.drain), DRAIN_SECONDS, "waiting for the running batch")
            await asyncio.get_running_loop().run_in_executor(self._encoding, free_memory)

    async def score(
        self,
        question: str,
        images: Sequence[Image],
        responses: Sequence[Segments],
        version: str | None,
        system: str = "",
        separator: str = STEP_SEPARATOR,
    ) -> tuple[str, list[Scores]]:
        served = self._served
        if served is None:
            raise no_weights()
        if version is not None and version != served.version:
            raise WeightVersionMismatch(f"{served.version} is loaded, not {version}", field="model_version")
        # `served` is read before the lock: a request ends on the model that it began with, so a load need not wait for
        # it.
        distinct = list(dict.fromkeys(responses))
        async with self._lock.using():
            encode = asyncio.get_running_loop().run_in_executor
            jobs = await encode(self._encoding, self._jobs, served, question, images, distinct, system, separator)
            by_response = dict(zip(distinct, await self._scores(jobs), strict=True))
        return served.version, [by_response[response] for response in responses]

    async def count_tokens(
        self,
        question: str,
        images: Sequence[Image],
        responses: Sequence[Segments],
        system: str = "",
        separator: str = STEP_SEPARATOR,
    ) -> int:
        served = self._served
        if served is None:
            raise no_weights()
        counted = partial(self._count_tokens, served, question, images, responses, system, separator)
        return await asyncio.get_running_loop().run_in_executor(self._encoding, counted)

    async def close(self) -> None:
        self._served = None
        await asyncio.to_thread(self._batches.close)
        await asyncio.to_thread(self._encoding.shutdown)

    async def _scores(self, jobs: Sequence[_Job]) -> list[Scores]:
        """Scores of the jobs' responses. Raises what the first job that fails raises."""
        waiting = [asyncio.ensure_future(self._batches.submit(job, len(job.packed.ids))) for job in jobs]
        try:
            return [row for rows in await asyncio.gather(*waiting) for row in rows]
        finally:
            # When one failed, nobody waits for the others.
            for wait in waiting:
                wait.cancel()

    def _serve_folder(self, folder: Path) -> _Served:
        return self._serve(folder_version(folder), *load_prm(folder))

    def _serve(self, version: str, model: Any, scheme: Scheme) -> _Served:
        layout = SequenceLayout(model)
        config = model.config.get_text_config()
        model.to(self._device)
        if layout.packs:
            use_tree_attention(model)
        return _Served(
            version=version,
            name=version.partition("@")[0],
            model=model,
            layout=layout,
            scheme=scheme,
            context=int(config.max_position_embeddings),
            prefixes=Prefixes(self._prefix_bytes),
        )

    def _count_tokens(
        self,
        served: _Served,
        question: str,
        images: Sequence[Image],
        responses: Sequence[Segments],
        system: str,
        separator: str,
    ) -> int:
        scheme = served.scheme
        prompt = len(scheme.prompt(question, images, system).input_ids)
        encode = partial(scheme.pieces, separator=separator)
        own = (pieces(place, one, scheme.tokenizer, encode) for place, one in enumerate(responses))
        return sum(prompt + sum(map(len, steps)) for steps in own)

    def _jobs(
        self,
        served: _Served,
        question: str,
        images: Sequence[Image],
        responses: list[Segments],
        system: str = "",
        separator: str = STEP_SEPARATOR,
    ) -> list[_Job]:
        """The work that a request is. Raises TooLarge for more than could ever wait."""
        prompt, groups = self._packed(served, question, images, responses, system, separator)
        tokens = sum(len(packed.ids) for packed in groups)
        # A single group is always taken: the queue lets a job through that is larger than itself, once it is empty.
        if len(groups) > 1 and tokens > self._waiting_tokens:
            raise TooLarge(
                f"the responses have {tokens} tokens; at most {self._waiting_tokens} fit in a request",
                field="responses",
            )
        key = digest(prompt)
        return [_Job(served, prompt, packed, key) for packed in groups]

    def _packed(
        self,
        served: _Served,
        question: str,
        images: Sequence[Image],
        responses: list[Segments],
        system: str = "",
        separator: str = STEP_SEPARATOR,
    ) -> tuple[EncodedPrompt, list[Packed]]:
        """The prompt, and its responses in groups that fit a forward pass together."""
        prompt = served.scheme.prompt(question, images, system)
        layout, scheme = served.layout, served.scheme
        size = int(served.model.config.get_text_config().vocab_size)
        encode = partial(scheme.pieces, separator=separator)
        groups = [layout.start(prompt)]
        for place, response in enumerate(responses):
            segments = pieces(place, response, scheme.tokenizer, encode, size)
            length = len(prompt.input_ids) + sum(map(len, segments))
            if length > served.context:
                detail = f"with its prompt it has {length} tokens; {served.context} fit"
                raise InvalidInput(f"response {place} is too long: {detail}", field=f"responses.{place}")
            if not layout.takes(groups[-1], segments, self._batch_tokens):
                groups.append(layout.another(groups[-1]))
            groups[-1].add(segments)
        return prompt, groups

    def _score(self, jobs: Sequence[_Job]) -> Iterator[tuple[int, list[Scores] | Exception]]:
        """Results of jobs by place, after each forward pass; jobs of about one length and of one model share one."""
        order = sorted(range(len(jobs)), key=lambda place: len(jobs[place].packed.ids))
        while order:
            places = self._together(jobs, order)
            order = [place for place in order if place not in places]
            yield from zip(places, self._fitted([jobs[place] for place in places]), strict=True)

    def _together(self, jobs: Sequence[_Job], order: list[int]) -> list[int]:
        """The next places that one forward pass takes, neighbours in length.

        Known prompts are apart from new ones, since they have a past of another width, and of new ones only images of
        one shape are together.
        """
        if self._deterministic:
            return order[:1]
        places: list[int] = []
        first, keys = jobs[order[0]], set[bytes]()
        known = self._known(first)
        longest = LENGTHS_TOGETHER * len(first.packed.ids)
        for place in order:
            job, width = jobs[place], len(jobs[place].packed.ids)
            # Sorted by length, so whatever follows is longer still, and all are padded to the longest.
            if places and (width > longest or (len(places) + 1) * width > self._batch_tokens):
                break
            # A new prompt that comes twice is known the second time, unless nothing of a prompt is shared.
            twice = known == 0 and job.key in keys and job.served.layout.packs
            fits = self._known(job) == known and (known or job.prompt.pixel_shapes == first.prompt.pixel_shapes)
            if job.served is first.served and fits and not twice:
                places.append(place)
                keys.add(job.key)
        return places

    def _known(self, job: _Job) -> int:
        """Tokens of the prompt whose keys and values are there: all or none."""
        return 0 if job.served.prefixes.find(job.key) is None else len(job.prompt.input_ids)

    def _fitted(self, jobs: Sequence[_Job]) -> list[list[Scores] | Exception]:
        """Results of one forward pass, or of more where there is not the memory for all jobs together."""
        try:
            return self._forward(jobs)
        except (RuntimeError, MemoryError) as error:
            # Only outside of here the tensors of the failed pass are gone.
            short = short_of_memory(error, len(jobs[0].packed.ids))
            if short is None:
                raise
        free_memory()
        if len(jobs) == 1:
            return [short]
        # Halves: the memory that a pass takes follows from its images as well, which the limit of tokens does not
        # count.
        half = len(jobs) // 2
        return [*self._fitted(jobs[:half]), *self._fitted(jobs[half:])]

    @torch.inference_mode()
    def _forward(self, jobs: Sequence[_Job]) -> list[list[Scores] | Exception]:
        served = jobs[0].served
        inputs = served.layout.inputs([(job.prompt, job.packed) for job in jobs])
        known = self._known(jobs[0])
        packs = served.layout.packs
        # A cache that is not made for the model keeps every token, also in layers that see a window.
        past = DynamicCache() if packs else None
        if known:
            found = [served.prefixes.find(job.key) for job in jobs]
            inputs = behind(inputs, known)
            past = joined([prefix for prefix in found if prefix is not None])
        self._count(jobs, known)
        moved = {key: value.to(self._device) for key, value in inputs.items()}
        output = run_trunk(served.model, **moved, past_key_values=past, use_cache=packs)
        if packs and not known:
            width = moved["input_ids"].shape[1]
            for row, job in enumerate(jobs):
                served.prefixes.keep(job.key, output.past_key_values, row, len(job.prompt.input_ids), width)
        return self._step_scores(served, jobs, output.last_hidden_state, known)

    def _count(self, jobs: Sequence[_Job], known: int) -> None:
        self.work.forwards += 1
        self.work.tokens += sum(len(job.packed.ids) - known for job in jobs)
        self.work.images += 0 if known else sum(job.prompt.images for job in jobs)
        self.work.known_prompts += len(jobs) if known else 0

    def _step_scores(
        self, served: _Served, jobs: Sequence[_Job], hidden: torch.Tensor, known: int
    ) -> list[list[Scores] | Exception]:
        """Scores of each step, from hidden states [B, T, D] of what follows the `known` tokens."""
        # The hidden states begin with the first token that was computed, after the known ones.
        places = [(row, end - known) for row, job in enumerate(jobs) for ends in job.packed.ends for end in ends]
        rows, columns = (torch.tensor(axis, device=self._device) for axis in zip(*places, strict=True))  # [P] each
        good = iter(served.scheme.good(served.model, hidden[rows, columns]).tolist())
        return [_finite([tuple(next(good) for _ in ends) for ends in job.packed.ends]) for job in jobs]


def _finite(scores: list[Scores]) -> list[Scores] | Exception:
    # NaN fails this comparison as well.
    if all(0.0 <= score <= 1.0 for row in scores for score in row):
        return scores
    return Internal("the model gave a score that is not a number: its weights may be damaged")
