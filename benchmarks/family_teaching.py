"""Small models of two families, made at random and taught for minutes to read and add in the layout of the paper.

The folder is what a download from a hub is: the family's processor, tokenizer and chat template, sizes cut down. The
questions are put in the form in which a run asks a model from outside. What this leaves out: the run.
"""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

from benchmarks.family_halves import Problem, draw
from family_folders import Family, Ids, Settings, write_folder
from model_families import FAMILIES
from mstar.layout import scored_segments
from mstar.prompts import PRESETS, PromptPreset, prompt_text
from mstar.types import Answer, AnswerType, Question
from mstar_models.encoding import EncodedPrompt, PromptEncoder, encode_segments, join_pixels
from mstar_models.loading import load_model, load_processor

TEXT = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3}
SHAPES: Mapping[str, tuple[Settings, Settings]] = {
    "qwen2_5_vl": ({}, {"hidden_size": 48, "intermediate_size": 96}),
    "internvl": ({}, {"hidden_size": 48, "intermediate_size": 96}),
}
"""What differs from the rows of `model_families`: language model and vision tower. Four image tokens a picture."""
WORDS = 600
POOL, BATCH = 1000, 16
RATE, RISE, DECAY = 3e-3, 20, 0.01
_FORM = PRESETS[PromptPreset.MSTAR]


@dataclass(frozen=True)
class Example:
    """A prompt and the response that is taught after it."""

    prompt: EncodedPrompt
    response: list[int]


def untaught(name: str, folder: Path) -> Path:
    """Write the family's folder with random weights."""
    known = next(one for one in FAMILIES if one.name == name)
    text, vision = SHAPES[name]

    def config(ids: Ids) -> Settings:
        settings = known.config(ids)
        whole = settings | {"tie_word_embeddings": True}
        whole["text_config"] = settings["text_config"] | TEXT | text | {"tie_word_embeddings": True}
        whole["vision_config"] = settings["vision_config"] | vision
        return whole

    family: Family = replace(known, config=config, corpus=_corpus(), words=WORDS)
    return write_folder(family, folder, to_teach=True)


def _corpus() -> list[str]:
    """What the tokenizer learns its words from: questions as they are put, and chains."""
    rng = random.Random("halves/corpus")
    return [text for _ in range(200) for text in _texts(draw(rng), with_reference=rng.random() < 0.5)]


def _texts(problem: Problem, *, with_reference: bool) -> tuple[str, str]:
    answer = Answer(type=AnswerType.INTEGER, value=problem.answer)
    question = Question(id="taught", text=problem.question, images=("0" * 64,), answer=answer)
    return prompt_text(question, _FORM, with_reference=with_reference), problem.response


def teach(folder: Path, updates: int) -> dict[str, Any]:
    """Teach the folder's model in place, half of the prompts with the reference answer, as warm-up asks."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    began = time.monotonic()
    model, pool = load_model(folder), _pool(folder)
    image = int(getattr(model.config, "image_token_id"))  # noqa: B009
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    # Up over the first updates, then down on a line to nothing.
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda done: min((done + 1) / RISE, (updates - done) / (updates - RISE))
    )
    rng, last = random.Random("halves/order"), 0.0
    model.train()
    for _ in range(updates):
        loss = _loss(model, rng.sample(pool, BATCH), image)
        torch.autograd.backward(loss)
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        last = loss.item()
    model.save_pretrained(folder)
    weights = sum(weight.numel() for weight in model.parameters())
    return {"weights": weights, "updates": updates, "loss": round(last, 3), "seconds": round(time.monotonic() - began)}


def _pool(folder: Path) -> list[Example]:
    processor, rng = load_processor(folder), random.Random("halves/taught")
    encoder, pool = PromptEncoder(processor), []
    end = processor.tokenizer.eos_token_id
    for _ in range(POOL):
        problem = draw(rng)
        asked, response = _texts(problem, with_reference=rng.random() < 0.5)
        tokens, _ = encode_segments(processor.tokenizer, scored_segments(response))
        pool.append(Example(encoder.encode(asked, [problem.image]), [*tokens, end]))
    return pool


def _loss(model: Any, batch: list[Example], image: int) -> torch.Tensor:
    """Mean over the response tokens of B examples, whose rows of T tokens are padded at the end."""
    rows = [[*one.prompt.input_ids, *one.response] for one in batch]
    width = max(map(len, rows))
    tokens = torch.tensor([row + [0] * (width - len(row)) for row in rows])  # [B, T]
    seen = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    taught = torch.full_like(tokens, -100)
    for place, (one, row) in enumerate(zip(batch, rows, strict=True)):
        begin = len(one.prompt.input_ids)
        taught[place, begin : len(row)] = tokens[place, begin : len(row)]
    inputs = {"input_ids": tokens, "attention_mask": seen, **join_pixels([one.prompt for one in batch])}
    if "image_grid_thw" in inputs:
        inputs["mm_token_type_ids"] = (tokens == image).long()
    logits = model(**inputs).logits[:, :-1]  # [B, T - 1, V]
    return functional.cross_entropy(logits.flatten(0, 1).float(), taught[:, 1:].flatten())
