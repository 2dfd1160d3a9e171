"""One iteration as a practitioner would write it in an afternoon: transformers for sampling and scoring, TRL to train.

It does the same work as ours with the same models and answer check, at batch sizes that suit it. It has no service, no
queue and no checkpoint, and its optimizer starts afresh each iteration, as TRL's does.
"""

import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from PIL.Image import Image
from transformers import GenerationConfig
from trl import SFTConfig, SFTTrainer

from benchmarks.material import MAX_TOKENS
from minivista import MODEL_FOLDER
from mstar.answers import check
from mstar.layout import scored_segments
from mstar.types import Question
from mstar_models.chat import build_messages, question_turns
from mstar_models.labels import label_token_ids
from mstar_models.loading import load_model, load_processor
from mstar_models.special_tokens import suppressed_ids

KEPT = 2
LEARNING_RATE, BATCH = 1e-4, 32


class Script:
    """Policy, PRM and processor in one process."""

    def __init__(self, n: int, sample_rows: int, score_rows: int) -> None:
        self.n, self.sample_rows, self.score_rows = n, sample_rows, score_rows
        self.policy, self.prm = load_model(MODEL_FOLDER), load_model(MODEL_FOLDER)
        self.processor = load_processor(MODEL_FOLDER)
        self.processor.tokenizer.padding_side = "left"
        self.labels = list(label_token_ids(self.processor.tokenizer))
        self.work = {"tokens": 0.0, "images": 0.0}
        """What sampling and scoring computed so far."""

    def iteration(self, questions: Sequence[Question], images: Sequence[Image]) -> dict[str, float]:
        """Sample, filter, score, select, train; returns what was done."""
        before = dict(self.work)
        drawn = self.sample(questions, images)
        pairs = [
            (place, text)
            for place, (question, texts) in enumerate(zip(questions, drawn, strict=True))
            for text in dict.fromkeys(texts)
            if question.answer is not None and check(text, question.answer).correct
        ]
        rewards = self.score(questions, images, pairs)
        kept = self.select(pairs, rewards)
        self.train([(questions[place], images[place], text) for place, text in kept])
        work = {name: self.work[name] - before[name] for name in before}
        return {"responses": sum(map(len, drawn)), "kept": len(kept)} | work

    @torch.inference_mode()
    def sample(self, questions: Sequence[Question], images: Sequence[Image]) -> list[list[str]]:
        self.policy.eval()
        config = GenerationConfig(
            do_sample=True,
            temperature=1.0,
            top_k=0,
            max_new_tokens=MAX_TOKENS,
            num_return_sequences=self.n,
            suppress_tokens=suppressed_ids(self.processor.tokenizer),
            eos_token_id=self.processor.tokenizer.eos_token_id,
            pad_token_id=self.processor.tokenizer.pad_token_id,
        )
        drawn: list[list[str]] = []
        step = self.sample_rows // self.n
        for start in range(0, len(questions), step):
            part = slice(start, start + step)
            texts = [self._prompt(question) for question in questions[part]]
            inputs = self.processor(
                text=texts, images=[[image] for image in images[part]], padding=True, return_tensors="pt"
            )
            made = self.policy.generate(**inputs, generation_config=config)[:, inputs["input_ids"].shape[1] :]
            # Prompt and image are expanded to a row for each sample before the first pass.
            self._count(self.n * int(inputs["attention_mask"].sum()) + made.numel(), self.n * len(texts))
            decoded = self.processor.batch_decode(made, skip_special_tokens=True)
            drawn += [decoded[place : place + self.n] for place in range(0, len(decoded), self.n)]
        return drawn

    @torch.inference_mode()
    def score(
        self, questions: Sequence[Question], images: Sequence[Image], pairs: Sequence[tuple[int, str]]
    ) -> list[float]:
        """The least step score of each response, by whole forward passes."""
        rewards = []
        for start in range(0, len(pairs), self.score_rows):
            part = pairs[start : start + self.score_rows]
            texts = [self._prompt(questions[place]) + text for place, text in part]
            inputs = self.processor(
                text=texts, images=[[images[place]] for place, _ in part], padding=True, return_tensors="pt"
            )
            self._count(int(inputs["attention_mask"].sum()), len(part))
            good = self.prm(**inputs).logits[..., self.labels].softmax(-1)[..., 0]
            for row, (_, text) in enumerate(part):
                rewards.append(min(float(good[row, end]) for end in self._ends(text)))
        return rewards

    def select(self, pairs: Sequence[tuple[int, str]], rewards: Sequence[float]) -> list[tuple[int, str]]:
        order = sorted(range(len(pairs)), key=lambda place: (pairs[place][0], -rewards[place]))
        kept: list[tuple[int, str]] = []
        for place in order:
            if sum(question == pairs[place][0] for question, _ in kept[-KEPT:]) < KEPT:
                kept.append(pairs[place])
        return kept

    def train(self, rows: Sequence[tuple[Question, Image, str]]) -> None:
        self.policy.train()
        data = Dataset.from_list(
            [
                {
                    "prompt": build_messages(question_turns(question.text)),
                    "completion": [{"role": "assistant", "content": [{"type": "text", "text": text}]}],
                    "images": [image],
                }
                for question, image, text in rows
            ]
        )
        with tempfile.TemporaryDirectory() as scratch:
            settings = SFTConfig(
                output_dir=scratch,
                per_device_train_batch_size=BATCH,
                learning_rate=LEARNING_RATE,
                lr_scheduler_type="constant",
                num_train_epochs=1,
                max_length=None,
                save_strategy="no",
                logging_strategy="no",
                report_to=[],
                disable_tqdm=True,
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
            )
            SFTTrainer(self.policy, args=settings, train_dataset=data, processing_class=self.processor).train()

    def _count(self, tokens: int, images: int) -> None:
        self.work["tokens"] += tokens
        self.work["images"] += images

    def _prompt(self, question: Question) -> str:
        return str(
            self.processor.apply_chat_template(
                build_messages(question_turns(question.text)), add_generation_prompt=True
            )
        )

    def _ends(self, text: str) -> list[int]:
        """Places of step ends, counted from the right of a row that is padded on the left."""
        tokenizer: Any = self.processor.tokenizer
        segments = scored_segments(text)
        lengths = [
            len(tokenizer("\n\n".join(segments[:count]), add_special_tokens=False)["input_ids"])
            for count in range(1, len(segments) + 1)
        ]
        whole = len(tokenizer(text, add_special_tokens=False)["input_ids"])
        return [length - whole - 1 for length in lengths]
