"""Make the base model that ships: `python -m minivista.pretrain --out FOLDER` (about a quarter of an hour, two cores).

Four phases, on pictures that no split holds. First the vision tower (`seeing`). Then reading: what a picture shows is
transcribed. Then arithmetic, mostly by careful chains. Last the habits of `habits`, in which care is the minority, with
the learning rate falling to where self-evolution goes on. What this leaves out: the benchmark's own questions.
"""

import argparse
import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from minivista.architecture import make_model, make_processor
from minivista.canvas import rgb
from minivista.habits import GIVEN, OPEN, READ, SKILLS, drill, respond
from minivista.problems import FOREIGN, STANDARD
from minivista.seeing import see
from minivista.splits import draws
from mstar.layout import scored_segments
from mstar_models.chat import build_messages, question_turns
from mstar_models.encoding import encode_segments

BATCH = 32
DRILLS = 16
"""Written sums in every batch, since arithmetic is learnt from many examples and without a picture they cost little."""
PEAK_RATE, LAST_RATE = 1.5e-3, 1e-4
SEEING_STEPS = 400
PHASES = {"reading": 0.15, "skills": 0.75, "habits": 1.0}
"""Share of the steps at which each phase ends."""
REREAD_SHARE = 0.15
"""Share of transcripts in the second phase."""
FOREIGN_SHARE = 0.3
"""Share of the pictures in the style that only test-OOD has: a real base model has seen many styles too."""
GIVEN_SHARE = 0.3
"""Share of the prompts that hold the reference answer."""


def main() -> None:
    """Train the base model and write its folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    processor = make_processor()
    model = make_model(processor.tokenizer)
    see(model, SEEING_STEPS, arguments.seed, FOREIGN_SHARE)
    pretrain(model, processor, arguments.steps, arguments.seed)
    model.save_pretrained(arguments.out)
    processor.save_pretrained(arguments.out)


def pretrain(model: Any, processor: Any, steps: int, seed: int) -> None:
    """Train in place; prints the loss every hundred steps."""
    optimizers = _optimizers(model)
    examples = _Examples(processor, seed)
    began = time.monotonic()
    for step in range(steps):
        loss = _loss(model, examples.batch(_phase(step / steps))) + _loss(model, examples.drills())
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = _rate(step, steps)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if step % 100 == 99:
            print(f"step {step + 1}/{steps} loss {loss.item():.4f} {time.monotonic() - began:.0f} s", flush=True)


def _optimizers(model: Any) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the text model, AdamW for the rest.

    With Muon reading is learnt in a tenth of the steps. What the seeing phase taught stays as it is.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("vision_model" not in name and "connector" not in name)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    inner = [parameter for name, parameter in trained.items() if ".layers." in name and parameter.ndim == 2]
    rest = [parameter for name, parameter in trained.items() if ".layers." not in name or parameter.ndim != 2]
    return [
        # Updates of the size that AdamW's have, so that one rate serves both.
        torch.optim.Muon(inner, lr=PEAK_RATE, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def _phase(progress: float) -> str:
    return next(name for name, end in PHASES.items() if progress < end)


def _rate(step: int, steps: int) -> float:
    # AdamW's second moments say little in the first steps, so the rate rises slowly.
    if step < 100:
        return PEAK_RATE * (step + 1) / 100
    return LAST_RATE + (PEAK_RATE - LAST_RATE) * (1 + math.cos(math.pi * step / steps)) / 2


class _Examples:
    """An endless stream of examples, encoded without the processor's own overhead but to the same tensors."""

    def __init__(self, processor: Any, seed: int) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.rng = random.Random(seed)
        # Far apart, so that two seeds never draw the same problem.
        self.index = seed * 100_000_000
        image = self.tokenizer.convert_tokens_to_ids("<image>")
        around = self.tokenizer.convert_tokens_to_ids("<fake_token_around_image>")
        whole = self.tokenizer.convert_tokens_to_ids("<global-img>")
        self.image_ids = [around, whole, *[image] * processor.image_seq_len, around]
        self.image_id = image

    def batch(self, phase: str) -> dict[str, torch.Tensor]:
        """Tensors of one batch: input_ids, attention_mask, labels [B, T]; pixel_values [B, 1, 3, 64, 64]."""
        rows, pixels = [], []
        for prompt, response, picture in (self._example(phase) for _ in range(BATCH)):
            rows.append((prompt, response))
            pixels.append(picture)
        # [B, 64, 64, 3] to [B, 1, 3, 64, 64] in [-1, 1], as the processor normalizes with mean and deviation 0.5.
        images = torch.from_numpy(np.stack(pixels)).float().permute(0, 3, 1, 2).unsqueeze(1) / 127.5 - 1
        return {**_padded(rows), "pixel_values": images}

    def drills(self) -> dict[str, torch.Tensor]:
        """Tensors of written sums without a picture: input_ids, attention_mask, labels [DRILLS, T]."""
        rows = []
        for step in (drill(self.rng) for _ in range(DRILLS)):
            # Only the result trains: the sum that is asked for is the prompt.
            asked, equals, result = step.partition("=")
            rows.append(
                tuple(self.tokenizer(part, add_special_tokens=False)["input_ids"] for part in (asked + equals, result))
            )
        return _padded(rows)

    def _example(self, phase: str) -> tuple[list[int], list[int], Any]:
        self.index += 1
        style = FOREIGN if self.rng.random() < FOREIGN_SHARE else STANDARD
        problem, _ = next(draws("pretrain", self.index, style))
        if phase == "reading" or (phase == "skills" and self.rng.random() < REREAD_SHARE):
            given, question, text = False, READ, problem.transcript
        else:
            given, question = self.rng.random() < GIVEN_SHARE, problem.question
            shares = SKILLS if phase == "skills" else GIVEN if given else OPEN
            text = respond(self.rng, problem, shares, given=given)
        response, _ = encode_segments(self.tokenizer, scored_segments(text))
        prompt = self._prompt(f"{question}\n\nReference answer: {problem.answer.value}" if given else question)
        return prompt, [*response, self.tokenizer.eos_token_id], rgb(problem.picture)

    def _prompt(self, question: str) -> list[int]:
        messages = build_messages(question_turns(question))
        text = self.processor.apply_chat_template(messages, add_generation_prompt=True)
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return [new for token in ids for new in (self.image_ids if token == self.image_id else (token,))]


def _padded(rows: Sequence[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
    """Prompts with their responses as input_ids, attention_mask and labels [B, T], padded on the right."""
    width = max(len(prompt) + len(response) for prompt, response in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    # -100: what the loss leaves out, prompts and padding.
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for place, (prompt, response) in enumerate(rows):
        whole = torch.tensor(prompt + response)
        ids[place, : len(whole)] = whole
        mask[place, : len(whole)] = 1
        labels[place, len(prompt) : len(whole)] = whole[len(prompt) :]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def _loss(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean cross-entropy per response token, with the head computed at those tokens only."""
    labels = batch.pop("labels")
    # [B, T - 1, hidden]: each place predicts the token behind it.
    hidden = model.model(**batch, use_cache=False).last_hidden_state[:, :-1]
    wanted = labels[:, 1:] != -100
    # [response tokens, vocabulary]: prompts and padding are most of a batch and get no logits.
    return cross_entropy(model.lm_head(hidden[wanted]), labels[:, 1:][wanted])


if __name__ == "__main__":
    main()
