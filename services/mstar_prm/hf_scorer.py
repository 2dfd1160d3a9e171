"""The scorer on transformers: one packed tree per question, the head at step ends only.

The hidden state at the last token of a segment meets the two label rows of the head; their softmax is the probability
of the good label. Full-vocabulary logits are never made. What responses of a question share is computed once.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image

from mstar.api.policy import WeightsState
from mstar.errors import Internal, InvalidInput, TooLarge, Unavailable, WeightVersionMismatch
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore, hash_file
from mstar_models.checkpoint import check_finite, load_checkpoint
from mstar_models.encoding import EncodedPrompt, PromptEncoder, encode_segments
from mstar_models.labels import label_token_ids
from mstar_models.loading import free_memory, load_model, load_processor
from mstar_models.packing import Packed, prompt_axes, start, tensors
from mstar_prm.batching import Batcher
from mstar_prm.scorer import Segments

Scores = tuple[float, ...]


@dataclass(frozen=True)
class _Served:
    """A model with what belongs to it; replaced as a whole, so a batch never sees a mix."""

    version: str
    name: str
    model: Any
    prompts: PromptEncoder
    labels: tuple[int, int]
    context: int


@dataclass(frozen=True)
class _Job:
    served: _Served
    prompt: EncodedPrompt
    packed: Packed


@dataclass
class Work:
    """Counted work, for metrics and benchmarks."""

    tokens: int = 0
    images: int = 0
    forwards: int = 0


class HfScorer:
    """A `Scorer` in this process, on the GPU where there is one."""

    def __init__(self, home: Path, *, batch_tokens: int, waiting_tokens: int) -> None:
        self.work = Work()
        self._store = ArtefactStore(home)
        self._served: _Served | None = None
        self._batch_tokens = batch_tokens
        self._waiting_tokens = waiting_tokens
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._batches = Batcher[_Job, list[Scores]](self._score, batch_size=batch_tokens, waiting_size=waiting_tokens)

    def weights(self) -> WeightsState:
        served = self._served
        if served is None:
            return WeightsState(weight_version="", ready=False, model="")
        return WeightsState(weight_version=served.version, ready=True, model=served.name)

    async def load(self, ref: ArtefactRef) -> None:
        model, folder = await asyncio.to_thread(load_checkpoint, self._store, ref)
        self._served = self._serve(ref.version, folder, model)

    async def load_folder(self, folder: Path) -> None:
        model = await asyncio.to_thread(load_model, folder)
        await asyncio.to_thread(check_finite, folder, folder.name)
        digest = hashlib.sha256("".join(map(hash_file, sorted(folder.glob("*.safetensors")))).encode()).hexdigest()
        self._served = self._serve(f"{folder.name}@{digest[:12]}", folder, model)

    async def sleep(self) -> None:
        self._served = None
        # Jobs hold the model that they began with: behind those that wait, nothing holds it any more.
        await self._batches.drained()
        await asyncio.to_thread(free_memory)

    async def score(
        self, question: str, image: Image, responses: Sequence[Segments], version: str | None
    ) -> tuple[str, list[Scores]]:
        served = self._served
        if served is None:
            raise Unavailable("no weights are loaded: put a checkpoint to /v1/weights first", retry_after=2)
        if version is not None and version != served.version:
            raise WeightVersionMismatch(f"{served.version} is loaded, not {version}", field="model_version")
        distinct = list(dict.fromkeys(responses))
        prompt, groups = self._packed(served, question, image, distinct)
        tokens = sum(len(packed.ids) for packed in groups)
        if len(groups) > 1 and tokens > self._waiting_tokens:
            raise TooLarge(
                f"the responses have {tokens} tokens; at most {self._waiting_tokens} fit in a request",
                field="responses",
            )
        waits = (self._batches.submit(_Job(served, prompt, packed), len(packed.ids)) for packed in groups)
        jobs = [asyncio.ensure_future(wait) for wait in waits]
        try:
            scores = [row for rows in await asyncio.gather(*jobs) for row in rows]
        finally:
            # When one failed, nobody waits for the others.
            for job in jobs:
                job.cancel()
        by_response = dict(zip(distinct, scores, strict=True))
        return served.version, [by_response[response] for response in responses]

    async def close(self) -> None:
        await asyncio.to_thread(self._batches.close)

    def _serve(self, version: str, folder: Path, model: Any) -> _Served:
        processor = load_processor(folder)
        config = model.config.get_text_config()
        return _Served(
            version=version,
            name=version.partition("@")[0],
            model=model.to(self._device),
            prompts=PromptEncoder(processor),
            labels=label_token_ids(processor.tokenizer),
            context=int(config.max_position_embeddings),
        )

    def _packed(
        self, served: _Served, question: str, image: Image, responses: list[Segments]
    ) -> tuple[EncodedPrompt, list[Packed]]:
        """The prompt, and its responses in groups that fit a forward pass together."""
        prompt = served.prompts.encode(question, image)
        tokenizer = served.prompts.processor.tokenizer
        axes = prompt_axes(served.model, prompt)
        groups = [start(prompt.input_ids, axes)]
        for place, response in enumerate(responses):
            ids, ends = encode_segments(tokenizer, response)
            if len(prompt.input_ids) + len(ids) > served.context:
                detail = f"with its prompt it has {len(prompt.input_ids) + len(ids)} tokens; {served.context} fit"
                raise InvalidInput(f"response {place} is too long: {detail}", field=f"responses.{place}")
            segments = [tuple(ids[begin:end]) for begin, end in pairwise([0, *(end + 1 for end in ends)])]
            if groups[-1].ends and len(groups[-1].ids) + groups[-1].cost(segments) > self._batch_tokens:
                groups.append(start(prompt.input_ids, axes))
            groups[-1].add(segments)
        return prompt, groups

    def _score(self, jobs: Sequence[_Job]) -> list[list[Scores] | Exception]:
        """Results of jobs in their order; jobs of one length and model share a forward pass."""
        results: dict[int, list[Scores] | Exception] = {}
        order = sorted(range(len(jobs)), key=lambda place: len(jobs[place].packed.ids))
        while order:
            places = self._together(jobs, order)
            order = order[len(places) :]
            for place, scores in zip(places, self._forward([jobs[place] for place in places]), strict=True):
                results[place] = scores
        return [results[place] for place in range(len(jobs))]

    def _together(self, jobs: Sequence[_Job], order: list[int]) -> list[int]:
        places: list[int] = []
        for place in order:
            width = len(jobs[place].packed.ids)
            if places and (
                (len(places) + 1) * width > self._batch_tokens or jobs[place].served is not jobs[places[0]].served
            ):
                break
            places.append(place)
        return places

    @torch.inference_mode()
    def _forward(self, jobs: Sequence[_Job]) -> list[list[Scores] | Exception]:
        model, labels = jobs[0].served.model, list(jobs[0].served.labels)
        inputs = tensors([job.packed for job in jobs], pad_id=0)
        for key in jobs[0].prompt.pixels:
            inputs[key] = torch.cat([job.prompt.pixels[key] for job in jobs])
        self.work.forwards += 1
        self.work.images += len(jobs)
        self.work.tokens += sum(len(job.packed.ids) for job in jobs)
        moved = {key: value.to(self._device) for key, value in inputs.items()}
        hidden = model.model(**moved, use_cache=False).last_hidden_state  # [B, T, D]
        places = [(row, end) for row, job in enumerate(jobs) for ends in job.packed.ends for end in ends]
        rows, columns = (torch.tensor(axis, device=self._device) for axis in zip(*places, strict=True))
        # [number of segments, 2]: good and bad
        logits = hidden[rows, columns].float() @ model.lm_head.weight[labels].float().T
        good = iter(logits.softmax(-1)[:, 0].tolist())
        return [_finite([tuple(next(good) for _ in ends) for ends in job.packed.ends]) for job in jobs]


def _finite(scores: list[Scores]) -> list[Scores] | Exception:
    if all(0.0 <= score <= 1.0 for row in scores for score in row):
        return scores
    return Internal("the model gave a score that is not a number: its weights may be damaged")
