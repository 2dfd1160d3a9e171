"""Makes the study's base model: `python -m minivista.study.pretrain --out FOLDER` (how long: `model/README.md`).

First the vision tower learns what stands in each cell, all of it, as real towers come pretrained. Then the language
model learns to read and to answer from the solver of `solver`, which knows a third of its subject badly: what a hard
value is called has to be found out later, by self-evolution. What this leaves out: the benchmark's own questions.
"""

import argparse
import random
import time
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from minivista.canvas import Picture, rgb
from minivista.pretraining import make_optimizers, padded, rate_at, response_loss, update
from minivista.study.architecture import HIDDEN, LAYERS, make_model, make_processor
from minivista.study.scenes import NAMES, Scene, draws
from minivista.study.scripts import SCRIPTS, VALUES
from minivista.study.solver import drill, judged, respond, transcript
from mstar.layout import STEP_SEPARATOR, scored_segments
from mstar_models.chat import build_messages, question_turns
from mstar_models.encoding import encode_segments

BATCH = 64
DRILLS = 32
SEEING_BATCH = 64
SEEING_STEPS, STEPS = 600, 2000
JUDGING_STEPS = 700
SEEING_RATE = 1.5e-3
JUDGING_RATE = 1.5e-3
PEAK_RATE = 3e-3
READING = 0.2
"""Share of the steps in which pictures are transcribed only."""
REREAD_SHARE = 0.1
"""Share of transcripts afterwards."""
FOREIGN_SHARE = 0.3
"""Share of the pictures in the style that only test-OOD has: a real base model has seen many styles too."""
GIVEN_SHARE = 0.25
"""Share of the prompts that hold the reference answer."""
READ = "Read the picture"
EMBEDDING_SCALE = 0.1
"""Of the embeddings at first. The usual 0.02 is too little beside image features, whose scale is 1."""


def main() -> None:
    """Train the base model and write its folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hidden", type=int, default=HIDDEN, help="width of the language model, a multiple of 8")
    parser.add_argument("--layers", type=int, default=LAYERS, help="its depth")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    processor = make_processor()
    model = make_model(processor.tokenizer, arguments.hidden, arguments.layers)
    examples = Examples(processor, arguments.seed)
    see(model, examples)
    learn(model, examples, arguments.steps)
    judge(model, Examples(processor, arguments.seed + 1), JUDGING_STEPS)
    model.save_pretrained(arguments.out)
    processor.save_pretrained(arguments.out)


class Examples:
    """An endless stream of examples, encoded without the processor's own overhead but to the same tensors."""

    def __init__(self, processor: Any, seed: int) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.rng = random.Random(seed)
        self._places = count(seed * 100_000_000)
        image, around, whole = (
            self.tokenizer.convert_tokens_to_ids(token)
            for token in ("<image>", "<fake_token_around_image>", "<global-img>")
        )
        self.image_id = image
        self.image_ids = [around, whole, *[image] * processor.image_seq_len, around]
        self._known: dict[str, list[int]] = {}
        self._prompts: dict[str, list[int]] = {}

    def scenes(self, number: int) -> tuple[list[Scene], torch.Tensor]:
        """Scenes with their pixels [number, 1, 3, 48, 48]."""
        found: list[Scene] = []
        pictures: list[Picture] = []
        for _ in range(number):
            scene, picture = next(draws("pretrain", next(self._places), foreign=self.rng.random() < FOREIGN_SHARE))
            found.append(scene)
            pictures.append(picture)
        # [number, 48, 48, 3] to [number, 1, 3, 48, 48] in [-1, 1], as the processor normalizes.
        pixels = torch.from_numpy(rgb(np.stack(pictures))).float().permute(0, 3, 1, 2).unsqueeze(1) / 127.5 - 1
        return found, pixels

    def batch(self, *, reading_only: bool) -> dict[str, torch.Tensor]:
        """Tensors of one batch: input_ids, attention_mask, labels [B, T]; pixel_values [B, 1, 3, 48, 48]."""
        scenes, pixels = self.scenes(BATCH)
        return {
            **padded([self._example(scene, reading_only=reading_only) for scene in scenes]),
            "pixel_values": pixels,
        }

    def judgements(self) -> dict[str, torch.Tensor]:
        """Tensors of chains to be judged: as `batch`, but with `beliefs` [B, T], in [0, 1] at the end of each step."""
        scenes, pixels = self.scenes(BATCH)
        rows, beliefs = [], []
        for scene in scenes:
            steps, believed = judged(self.rng, scene)
            response, ends = encode_segments(self.tokenizer, steps)
            prompt = self._prompt(scene.question)
            rows.append((prompt, response))
            beliefs.append([(len(prompt) + end - 1, one) for end, one in zip(ends, believed, strict=True)])
        tensors = padded(rows)
        # [B, T]; -1 where nothing is judged.
        places = torch.full(tensors["input_ids"].shape, -1.0)
        for row, found in enumerate(beliefs):
            for place, one in found:
                places[row, place] = one
        del tensors["labels"]
        return {**tensors, "pixel_values": pixels, "beliefs": places}

    def drills(self) -> dict[str, torch.Tensor]:
        """Tensors of calculations without a picture: input_ids, attention_mask, labels [DRILLS, T]."""
        pairs = (drill(self.rng) for _ in range(DRILLS))
        return padded([(self._ids(asked), self._ids(f" {value}")) for asked, value in pairs])

    def _example(self, scene: Scene, *, reading_only: bool) -> tuple[list[int], list[int]]:
        if reading_only or self.rng.random() < REREAD_SHARE:
            question, text = READ, transcript(self.rng, scene)
        else:
            given = self.rng.random() < GIVEN_SHARE
            question = f"{scene.question}\n\nReference answer: {scene.answer}" if given else scene.question
            text = respond(self.rng, scene, given=given)
        return self._prompt(question), self._response(scored_segments(text))

    def _prompt(self, question: str) -> list[int]:
        if question not in self._prompts:
            messages = build_messages(question_turns(question))
            ids = self._ids(self.processor.apply_chat_template(messages, add_generation_prompt=True))
            expanded = [new for token in ids for new in (self.image_ids if token == self.image_id else (token,))]
            self._prompts[question] = expanded
        return self._prompts[question]

    def _response(self, segments: Sequence[str]) -> list[int]:
        """The same ids as `encode_segments` gives, from steps that are encoded once: there are few thousand."""
        pieces = [self._ids(segment) for segment in segments]
        between = self._ids(STEP_SEPARATOR)
        joined = [*chain.from_iterable([*piece, *between] for piece in pieces[:-1]), *pieces[-1]]
        return [*joined, self.tokenizer.eos_token_id]

    def _ids(self, text: str) -> list[int]:
        if text not in self._known:
            self._known[text] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self._known[text]


def see(model: Any, examples: Examples, steps: int = SEEING_STEPS) -> None:
    """Train vision tower and connector in place.

    Each image token is asked what its cell shows in which script, through a linear head that is thrown away, and which
    cell it is, through the embeddings of the cells' letters: the language model finds a token by what it says of its
    place, since rotary positions only tell distances.
    """
    kinds = {(script, value): place for place, (script, value) in enumerate((s, v) for s in SCRIPTS for v in VALUES)}
    width = model.config.text_config.hidden_size
    shown, embeddings = torch.nn.Linear(width, len(kinds)), model.get_input_embeddings().weight
    torch.nn.init.normal_(embeddings, std=EMBEDDING_SCALE)
    letters = [[examples.tokenizer.convert_tokens_to_ids(before + name) for name in NAMES] for before in ("", " ")]
    eyes = [*model.model.vision_model.parameters(), *model.model.connector.parameters()]
    optimizer = torch.optim.AdamW([*eyes, *shown.parameters(), embeddings], lr=SEEING_RATE, weight_decay=0.0)
    place_labels = torch.arange(len(NAMES)).repeat(SEEING_BATCH)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate_at(step, steps, SEEING_RATE)
        scenes, pixels = examples.scenes(SEEING_BATCH)
        # [B * 9], one of 50 shapes of values each
        labels = torch.tensor([kinds[pair] for one in scenes for pair in zip(one.scripts, one.values, strict=True)])
        # [B * 9, hidden]
        features = model.model.get_image_features(pixel_values=pixels).pooler_output.reshape(-1, width)
        loss = cross_entropy(shown(features), labels)
        # [B * 9, 9]: each token against the nine letters' embeddings, without and with a space before them.
        loss = loss + sum(cross_entropy(features @ embeddings[ids].T, place_labels) for ids in letters)
        # Of about the scale of normalized hidden states.
        loss = loss + 0.1 * (features.pow(2).mean(-1) - 1).pow(2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 100 == 99:
            right = (shown(features).argmax(-1) == labels).float().mean().item()
            print(f"seeing {step + 1}/{steps} loss {loss.item():.4f} right {right:.3f}", flush=True)


def learn(model: Any, examples: Examples, steps: int) -> None:
    """Train the language model in place; what the seeing phase taught stays as it is."""
    optimizers = make_optimizers(model, PEAK_RATE)
    began = time.monotonic()
    for step in range(steps):
        batch = examples.batch(reading_only=step < READING * steps)
        loss = response_loss(model, batch) + 0.5 * response_loss(model, examples.drills())
        update(model, optimizers, loss, rate_at(step, steps, PEAK_RATE))
        if step % 100 == 99:
            print(f"step {step + 1}/{steps} loss {loss.item():.4f} {time.monotonic() - began:.0f} s", flush=True)


def judge(model: Any, examples: Examples, steps: int) -> None:
    """Teach the model to judge steps as far as it can write them, so that its PRM need not begin from nothing.

    Chains go on being learnt beside it.
    """
    optimizers = make_optimizers(model, PEAK_RATE)
    good, bad = (examples.tokenizer.convert_tokens_to_ids(token) for token in ("<good>", "<bad>"))
    for step in range(steps):
        batch = examples.judgements()
        beliefs = batch.pop("beliefs")
        # [judged steps, hidden]
        hidden = model.model(**batch, use_cache=False).last_hidden_state[beliefs >= 0]
        logits = model.lm_head(hidden)
        # A softmax over the two labels is the sigmoid of their difference, which is how the PRM service reads a score.
        judging = binary_cross_entropy_with_logits(logits[:, good] - logits[:, bad], beliefs[beliefs >= 0])
        loss = judging + response_loss(model, examples.batch(reading_only=False))
        update(model, optimizers, loss, rate_at(step, steps, JUDGING_RATE))
        if step % 100 == 99:
            print(f"judging {step + 1}/{steps} loss {judging.item():.4f} of {loss.item():.4f}", flush=True)


if __name__ == "__main__":
    main()
