"""PRM scoring, n = 16 for each question: our packed tree against batched forward passes of whole sequences."""

import asyncio
from pathlib import Path

import torch

from benchmarks.material import THREADS, images, questions, responses
from benchmarks.measure import Row, best_of, compare
from minivista import MODEL_FOLDER
from mstar.layout import scored_segments
from mstar_models.encoding import PromptEncoder, collate, encode_segments
from mstar_models.labels import label_token_ids
from mstar_models.loading import load_model, load_processor
from mstar_prm.hf_scorer import HfScorer

QUESTIONS, N = 64, 16
BATCHES = (16, 32, 64, 128)


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
            prompt = self.prompts.encode(question.text, image)
            for response in drawn:
                ids, ends = encode_segments(processor.tokenizer, scored_segments(response.text))
                self.rows.append((prompt, ids, [len(prompt.input_ids) + end for end in ends]))

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
        len(encoder.encode(question.text, image).input_ids)
        for question, image in zip(questions(QUESTIONS), images(QUESTIONS), strict=True)
    )
    tokenizer = encoder.processor.tokenizer
    texts = [response.text for drawn in responses(QUESTIONS, N) for response in drawn]
    return prompts + sum(len(encode_segments(tokenizer, scored_segments(text))[0]) for text in texts)


def run() -> list[Row]:
    torch.set_num_threads(THREADS)
    scorer = HfScorer(Path("runs"), batch_tokens=8192, waiting_tokens=4_000_000)
    asyncio.run(scorer.load_folder(MODEL_FOLDER))
    asked = [
        (question.text, image, [scored_segments(response.text) for response in drawn])
        for question, image, drawn in zip(questions(QUESTIONS), images(QUESTIONS), responses(QUESTIONS, N), strict=True)
    ]

    def ours() -> dict[str, float]:
        before = scorer.work.tokens, scorer.work.images

        async def all_at_once() -> None:
            await asyncio.gather(*(scorer.score(*one, None) for one in asked))

        asyncio.run(all_at_once())
        return {"tokens": scorer.work.tokens - before[0], "images": scorer.work.images - before[1]}

    full = FullForwards()
    best = best_of({size: lambda size=size: full(size) for size in BATCHES})  # type: ignore[misc]
    pairs = compare(ours, lambda: full(best))
    asyncio.run(scorer.close())
    cpu, other = pairs.median("ours", "cpu"), pairs.median("other", "cpu")
    tokens = pairs.median("ours", "tokens")
    return [
        Row(
            "PRM scoring, n = 16",
            cpu,
            other,
            other / cpu,
            ">= 2.0",
            other / cpu >= 2.0,
            len(pairs.ours),
            "CPU-s",
            f"forward passes of {best} whole sequences",
            {"tokens": tokens, "tokens, other": pairs.median("other", "tokens"), "floor P + nR": floor()},
        ),
        Row(
            "PRM tokens over the floor P + nR",
            tokens,
            floor(),
            floor() / tokens,
            "<= 1.10 x floor",
            tokens <= 1.1 * floor(),
            len(pairs.ours),
            "tokens",
            "the floor without sharing steps",
        ),
    ]
