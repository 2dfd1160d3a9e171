"""Makes the base model that ships: `python -m minivista.pretrain --out FOLDER` (how long: `model/README.md`).

Four phases, on pictures that no split holds. First the vision tower (`seeing`). Then reading: what a picture shows is
transcribed. Then arithmetic, mostly by careful chains. Last the habits of `habits`, in which care is the minority, with
the learning rate falling to where self-evolution goes on. What this leaves out: the benchmark's own questions.
"""

import argparse
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minivista.architecture import make_model, make_processor
from minivista.canvas import rgb
from minivista.habits import GIVEN, OPEN, READ, SKILLS, drill, respond
from minivista.pretraining import make_optimizers, padded, rate_at, response_loss, update
from minivista.problems import FOREIGN, STANDARD
from minivista.seeing import see
from minivista.splits import draws
from mstar.layout import scored_segments
from mstar_models.chat import build_messages, question_turns
from mstar_models.encoding import encode_segments

BATCH = 32
DRILLS = 16
"""Written sums in every batch, since arithmetic is learnt from many examples and without a picture they cost little."""
PEAK_RATE = 1.5e-3
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
    optimizers = make_optimizers(model, PEAK_RATE)
    examples = _Examples(processor, seed)
    began = time.monotonic()
    for step in range(steps):
        loss = response_loss(model, examples.batch(_phase(step / steps))) + response_loss(model, examples.drills())
        update(model, optimizers, loss, rate_at(step, steps, PEAK_RATE))
        if step % 100 == 99:
            print(f"step {step + 1}/{steps} loss {loss.item():.4f} {time.monotonic() - began:.0f} s", flush=True)


def _phase(progress: float) -> str:
    return next(name for name, end in PHASES.items() if progress < end)


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
        return {**padded(rows), "pixel_values": images}

    def drills(self) -> dict[str, torch.Tensor]:
        """Tensors of written sums without a picture: input_ids, attention_mask, labels [DRILLS, T]."""
        rows = []
        for step in (drill(self.rng) for _ in range(DRILLS)):
            # Only the result trains: the sum that is asked for is the prompt.
            asked, equals, result = step.partition("=")
            rows.append(
                tuple(self.tokenizer(part, add_special_tokens=False)["input_ids"] for part in (asked + equals, result))
            )
        return padded(rows)

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


if __name__ == "__main__":
    main()
