"""One training pass over the same examples: our trainer's engine against Hugging Face's Trainer, 32 rows an update.

The examples are two responses a question, as an iteration selects them.
"""

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from benchmarks.material import THREADS, home, images, questions, responses
from benchmarks.measure import Row, by_rate, compare, sized
from minivista import MODEL_FOLDER
from mstar.layout import scored_segments
from mstar.train_recipe import TrainRecipe
from mstar_models.encoding import PromptEncoder, encode_segments
from mstar_models.loading import load_model, load_processor
from mstar_trainer.batches import Example
from mstar_trainer.deepspeed_engine import TrainingEngine, join_ranks
from mstar_trainer.encoding import ExampleEncoder
from mstar_trainer.feed import Feed
from mstar_trainer.loss import MicroBatch, ResponseLoss
from mstar_trainer.training_loop import train_pass

QUESTIONS = sized(256, 16)
RESPONSES = 2
EXAMPLES = QUESTIONS * RESPONSES
SETTINGS = TrainRecipe(learning_rate=1e-5, batch_size=32)


class _Rows(Dataset[dict[str, Any]]):
    """Encoded rows, as a script would prepare them for Trainer."""

    def __init__(self) -> None:
        encoder = PromptEncoder(load_processor(MODEL_FOLDER))
        tokenizer = encoder.processor.tokenizer
        self.rows = []
        for place, example in enumerate(examples()):
            prompt = encoder.encode(example.prompt, [images(QUESTIONS)[place // RESPONSES]])
            ids, _ = encode_segments(tokenizer, example.segments)
            response = [*ids, tokenizer.eos_token_id]
            self.rows.append(
                {
                    "input_ids": prompt.input_ids + response,
                    "labels": [-100] * len(prompt.input_ids) + response,
                    **{key: value[0] for key, value in prompt.pixels.items()},
                }
            )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return self.rows[place]


def examples() -> list[Example]:
    """What the base model answers."""
    return [
        Example(question.text, question.images, scored_segments(response.text))
        for question, group in zip(questions(QUESTIONS), responses(QUESTIONS, RESPONSES), strict=True)
        for response in group
    ]


class _OneShard(Feed):
    """Rows that are all there."""

    def __init__(self, examples: list[Example]) -> None:
        self.rows = len(examples)
        self._examples = examples

    def __iter__(self) -> Iterator[list[Example]]:
        yield self._examples

    def expected_rows(self) -> int:
        return self.rows


class _Counting(ResponseLoss):
    """The loss, counting what goes into the model, padding included."""

    tokens = images = 0

    def forward(self, batch: MicroBatch, read: bool = False) -> torch.Tensor:
        self.tokens += batch.inputs["input_ids"].numel()
        self.images += len(batch.images)
        return super().forward(batch, read)


class _Counter:
    """Collates Trainer's batches, counting the same."""

    tokens = images = 0

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = _collate(rows)
        self.tokens += batch["input_ids"].numel()
        self.images += len(rows)
        return batch

    def since(self, before: tuple[int, int]) -> dict[str, float]:
        return {"tokens": self.tokens - before[0], "images": self.images - before[1]}


def _collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    width = max(len(row["input_ids"]) for row in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for place, row in enumerate(rows):
        length = len(row["input_ids"])
        ids[place, :length] = torch.tensor(row["input_ids"])
        labels[place, :length] = torch.tensor(row["labels"])
        mask[place, :length] = 1
    pixels = {key: torch.stack([row[key] for row in rows]) for key in rows[0] if key not in ("input_ids", "labels")}
    return {"input_ids": ids, "attention_mask": mask, "labels": labels, **pixels}


def run() -> list[Row]:
    torch.set_num_threads(THREADS)
    with home(QUESTIONS) as root, tempfile.TemporaryDirectory() as scratch:
        os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "DS_ACCELERATOR": "cpu"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
        join_ranks(0, 1, f"file://{scratch}/meet")
        model = load_model(MODEL_FOLDER)
        loss, counter = _Counting(model), _Counter()
        engine = TrainingEngine(loss, model, SETTINGS)
        encoder, rows = ExampleEncoder(MODEL_FOLDER, root, model), examples()
        arguments = TrainingArguments(
            output_dir=scratch,
            per_device_train_batch_size=SETTINGS.batch_size,
            learning_rate=SETTINGS.learning_rate,
            lr_scheduler_type="constant",
            num_train_epochs=1,
            save_strategy="no",
            report_to=[],
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
            remove_unused_columns=False,
            train_sampling_strategy="group_by_length",
        )
        trainer = Trainer(model=load_model(MODEL_FOLDER), args=arguments, train_dataset=_Rows(), data_collator=counter)

        def ours() -> dict[str, float]:
            before = loss.tokens, loss.images
            train_pass(engine, encoder, _OneShard(rows), SETTINGS, 0, lambda _: SETTINGS.learning_rate, lambda *_: None)
            return {"examples": EXAMPLES, "tokens": loss.tokens - before[0], "images": loss.images - before[1]}

        def theirs() -> dict[str, float]:
            before = counter.tokens, counter.images
            trainer.train()
            return {"examples": EXAMPLES} | counter.since(before)

        pairs = compare(ours, theirs)
        engine.close()
    against = "Hugging Face Trainer, grouped by length"
    note = "image and question are computed once for both responses; nine tenths of the time are matrix products"
    return [by_rate("one training pass", pairs, against, 1.3, what="examples", unit="cpu", note=note)]
