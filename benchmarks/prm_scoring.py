"""PRM scoring, n = 16 for each question: one packed tree against batched forward passes and against vLLM.

A second pair compares prompts whose keys and values are remembered with prompts that are computed again.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.material import THREADS, images, questions, responses
from benchmarks.measure import Row, best_of, by_cost, compare, cpu_of, sized
from minivista import MODEL_FOLDER
from mstar.layout import scored_segments
from mstar_models.encoding import PromptEncoder, collate, encode_segments
from mstar_models.labels import label_token_ids
from mstar_models.loading import load_model, load_processor
from mstar_prm.hf_scorer import HfScorer
from mstar_prm.prefixes import Prefixes
from mstar_prm.scorer import Segments

QUESTIONS, N = sized((64, 16), (4, 4))
BATCHES = sized((16, 32, 64, 128), (16,))


class FullForwards:
    """What transformers' own documentation leads to: pad some sequences, run the model, read the logits."""

    def __init__(self) -> None:
        processor = load_processor(MODEL_FOLDER)
        self.model = load_model(MODEL_FOLDER)
        self.prompts = PromptEncoder(processor)
        self.labels = list(label_token_ids(processor.tokenizer))
        self.rows = []
        for question, image, drawn in zip(
            questions(QUESTIONS), images(QUESTIONS), responses(QUESTIONS, N), strict=True
        ):
            prompt = self.prompts.encode(question.text, [image])
            for response in drawn:
                ids, ends = encode_segments(processor.tokenizer, scored_segments(response.text))
                self.rows.append((prompt, ids, [len(prompt.input_ids) + end - 1 for end in ends]))

    @torch.inference_mode()
    def __call__(self, batch_size: int) -> dict[str, float]:
        tokens = 0
        for start in range(0, len(self.rows), batch_size):
            part = self.rows[start : start + batch_size]
            inputs = collate([(prompt, ids) for prompt, ids, _ in part], "right")
            logits = self.model(**inputs, use_cache=False).logits
            for row, (_, _, ends) in enumerate(part):
                logits[row, ends][:, self.labels].softmax(-1)
            tokens += int(inputs["attention_mask"].sum())
        return {"tokens": tokens, "images": len(self.rows)}


def floor() -> int:
    """P + the tokens of all responses, for all questions."""
    encoder = PromptEncoder(load_processor(MODEL_FOLDER))
    prompts = sum(
        len(encoder.encode(question.text, [image]).input_ids)
        for question, image in zip(questions(QUESTIONS), images(QUESTIONS), strict=True)
    )
    tokenizer = encoder.processor.tokenizer
    texts = [response.text for drawn in responses(QUESTIONS, N) for response in drawn]
    return prompts + sum(len(encode_segments(tokenizer, scored_segments(text))[0]) for text in texts)


Asked = tuple[str, list[Image.Image], list[Segments]]


class Ours:
    """The scorer with its defaults; what it remembers of earlier prompts is kept only where that is asked for."""

    def __init__(self) -> None:
        self.scorer = HfScorer(Path("runs"), batch_tokens=8192, waiting_tokens=4_000_000)
        asyncio.run(self.scorer.load_folder(MODEL_FOLDER))

    def __call__(self, asked: Sequence[Asked], *, remember: bool = False) -> dict[str, float]:
        assert self.scorer._served is not None
        if not remember:
            self.scorer._served = replace(self.scorer._served, prefixes=Prefixes(1 << 30))
        before = self.scorer.work.tokens, self.scorer.work.images
        self.scores = asyncio.run(self._all_at_once(asked))
        return {"tokens": self.scorer.work.tokens - before[0], "images": self.scorer.work.images - before[1]}

    async def _all_at_once(self, asked: Sequence[Asked]) -> list[list[tuple[float, ...]]]:
        replies = await asyncio.gather(*(self.scorer.score(*one, None) for one in asked))
        return [scores for _, scores in replies]


def _against_vllm(ours: Ours, asked: Sequence[Asked]) -> list[Row]:
    """The scorer on vLLM with empty caches; nothing where vLLM is not installed."""
    if find_spec("vllm") is None:
        return []
    from mstar_models.vllm_core import VllmOptions
    from mstar_prm.vllm_scorer import VllmScorer

    with asyncio.Runner() as runner:

        async def begin() -> VllmScorer:
            scorer = VllmScorer(Path("runs"), VllmOptions(cpu=True, threads=THREADS), waiting_tokens=4_000_000)
            await scorer.load_folder(MODEL_FOLDER)
            return scorer

        vllm = runner.run(begin())

        async def from_nothing() -> list[list[tuple[float, ...]]]:
            core = vllm._host.core
            for drop in (core.reset_prefix_cache, core.reset_mm_cache, core.reset_encoder_cache):
                await drop()
            replies = await asyncio.gather(*(vllm.score(*one, None) for one in asked))
            return [scores for _, scores in replies]

        def theirs() -> dict[str, float]:
            cpu, before = cpu_of(os.getpid()), replace(vllm.work)
            scores = runner.run(from_nothing())
            assert _apart(ours.scores, scores) < 1e-3, "the two sides disagree"
            done = {key: getattr(vllm.work, key) - getattr(before, key) for key in ("forwards", "tokens", "images")}
            return done | {"cpu": cpu_of(os.getpid()) - cpu}

        pairs = compare(lambda: ours(asked), theirs)
        runner.run(vllm.close())
    counted = {"requests, other": pairs.median("other", "forwards")}
    note = "vLLM has a request for each step; prompts that come at once find no keys and values of each other"
    return [by_cost("PRM scoring, n = 16", pairs, "our scorer on vLLM, on a CPU", 1.0, counted=counted, note=note)]


def _apart(one: Sequence[Any], other: Sequence[Any]) -> float:
    """The largest difference between two nested lists of scores."""
    pairs = list(zip(one, other, strict=True))
    return max(abs(a - b) if isinstance(a, float) else _apart(a, b) for a, b in pairs)


def _remembered(ours: Ours, asked: Sequence[Asked]) -> Row:
    """The same questions with other responses, as when candidates come one after the other."""
    late = [(question, shown, responses[N // 2 :]) for question, shown, responses in asked]
    early = [(question, shown, responses[: N // 2]) for question, shown, responses in asked]

    def again() -> dict[str, float]:
        ours(early)
        return _timed_only(lambda: ours(late, remember=True))

    def anew() -> dict[str, float]:
        ours(early)
        return _timed_only(lambda: ours(late))

    pairs = compare(again, anew)
    return by_cost("PRM scoring of questions that come back", pairs, "the same, nothing remembered", 1.0)


def _timed_only(side: Callable[[], dict[str, float]]) -> dict[str, float]:
    cpu = time.process_time()
    counted = side()
    return counted | {"cpu": time.process_time() - cpu}


def run() -> list[Row]:
    torch.set_num_threads(THREADS)
    ours = Ours()
    asked: list[Asked] = [
        (question.text, [image], [scored_segments(response.text) for response in drawn])
        for question, image, drawn in zip(questions(QUESTIONS), images(QUESTIONS), responses(QUESTIONS, N), strict=True)
    ]
    full = FullForwards()
    best = best_of({size: lambda size=size: full(size) for size in BATCHES})  # type: ignore[misc]
    pairs = compare(lambda: ours(asked), lambda: full(best))
    more = [_remembered(ours, asked), *_against_vllm(ours, asked)]
    asyncio.run(ours.scorer.close())
    tokens, least = pairs.median("ours", "tokens"), floor()
    against = f"forward passes of {best} whole sequences"
    sharing = Row(
        "PRM tokens over the floor P + nR",
        tokens,
        least,
        least / tokens,
        "<= 1.10 x floor",
        tokens <= 1.1 * least,
        len(pairs.ours),
        "tokens",
        "the floor without sharing steps",
    )
    return [by_cost("PRM scoring, n = 16", pairs, against, 2.0), sharing, *more]
