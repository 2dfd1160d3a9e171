"""Real training steps by DeepSpeed at sizes that people train, and cross-entropy without logits."""

import io
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.gpu_device import (
    CUDA,
    DEVICE,
    GIGA,
    folder_of,
    forget_peak,
    held,
    median,
    peak,
    random_model,
    scratch,
    seconds,
    write_random,
)
from mstar.train_recipe import TrainRecipe
from mstar_artefacts.images import ImageStore
from mstar_artefacts.storage import Storage
from mstar_models.attention import use_tree_attention
from mstar_models.trunk import output_logits, run_trunk
from mstar_trainer.adapters import attach, whole_size
from mstar_trainer.batches import Example, grouped
from mstar_trainer.encoding import ExampleEncoder, micro_batches
from mstar_trainer.loss import MicroBatch, ResponseLoss
from mstar_trainer.parts import freeze, vision_tower
from mstar_trainer.vision import FrozenTower
from mstar_trainer.weight_files import write_weights

QUESTIONS, RESPONSES = (16, 4) if CUDA else (2, 2)
STEPS = 5
SIDE = 560 if CUDA else 56
"""Of the pictures in pixels: 400 image tokens."""
UPDATES = 3


@contextmanager
def join_alone() -> Iterator[None]:
    """A process group of this process, as a training of one rank has it."""
    os.environ["DS_ACCELERATOR"] = DEVICE.type
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    from mstar_trainer.deepspeed_engine import join_ranks

    with scratch() as folder:
        join_ranks(0, 1, f"file://{folder / 'meeting'}")
        yield


def training(shape: str, options: dict[str, Any]) -> dict[str, Any]:
    """Updates of one rank on 64 responses to 16 questions with the options of a recipe, the vision tower frozen."""
    settings = TrainRecipe.model_validate(
        {"learning_rate": 1e-5, "batch_size": 64, "micro_tokens": 8192, "freeze_vision": True} | options
    )
    with scratch() as root, join_alone():
        from mstar_trainer.deepspeed_engine import TrainingEngine

        folder = folder_of(shape, root / "model")
        model, loading = _model(folder, settings)
        weights = sum(_count(weight) for weight in model.parameters())
        encoder = ExampleEncoder(folder, Storage(home=root), model)
        batches = _batches(encoder, root, settings)
        freeze(model, settings)
        if settings.lora:
            attach(model, settings)
        trained = sum(_count(weight) for weight in model.parameters() if weight.requires_grad)
        frozen = None if settings.zero_stage == 3 else FrozenTower(model, vision_tower(model))
        engine = TrainingEngine(ResponseLoss(model, frozen), model, settings)
        use_tree_attention(model)
        total = sum(len(batch.targets) for batch in batches)
        work = [(batch, 1 / total) for batch in batches]
        losses: list[float] = []
        plain = None if settings.zero_stage == 3 else _plain(model, batches) / total
        begun = held()
        forget_peak()
        first = seconds(lambda: losses.append(engine.update(work, 1e-5)))
        later = [seconds(lambda: losses.append(engine.update(work, 1e-5))) for _ in range(UPDATES)]
        tokens = sum(batch.inputs["input_ids"].numel() for batch in batches)
        rate = tokens / min(later)
        return (
            loading
            | {
                "weights in billions": weights / 1e9,
                "trained in billions": trained / 1e9,
                "tokens an update": tokens,
                "micro-batches": len(batches),
                "most tokens": max(batch.inputs["input_ids"].numel() for batch in batches),
                "most places": max(len(batch.targets) for batch in batches),
                "images": QUESTIONS,
                "patches": sum(len(batch.inputs["pixel_values"]) for batch in batches),
                "first update s": first,
                "update s": min(later),
                "tokens/s": rate,
                "GB before": begun,
                "peak GB": peak(),
                "losses": [round(loss, 4) for loss in losses],
                "plain loss before": plain,
            }
            | _written(engine, root)
        )


def _model(folder: Path, settings: TrainRecipe) -> tuple[Any, dict[str, float]]:
    """The model, and what loading it took; from files where the trainer's loader changes what it reads."""
    from mstar_trainer.deepspeed_engine import dtype_of
    from mstar_trainer.loading import load_for_training

    if not (settings.offload_parameters or (settings.lora and settings.lora.quantize)):
        return random_model(folder, dtype_of(settings)), {}
    # Written by a process that ends: what it held on the device would count as ours.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(write_random, folder, dtype_of(settings)).result()
    forget_peak()
    began = time.perf_counter()
    model = load_for_training(folder, settings)
    found = {"loading s": time.perf_counter() - began, "GB loaded": held(), "peak GB while loading": peak()}
    return model.to(DEVICE) if settings.zero_stage < 3 else model, found


def _count(weight: Tensor) -> int:
    """Numbers that a weight stands for, when it is neither partitioned nor packed in 4 bits."""
    return whole_size(weight) // (weight.quant_state.dtype if hasattr(weight, "quant_state") else weight.dtype).itemsize


def _written(engine: Any, root: Path) -> dict[str, float]:
    """Seconds and GB of a checkpoint's weights, as the trainer writes them: whole numbers, adapters merged."""
    target = root / "written"
    target.mkdir()
    took = seconds(lambda: write_weights(target, engine.model, engine.weights(), "r-0"))
    size = sum(file.stat().st_size for file in target.rglob("*.safetensors")) / GIGA
    return {"writing s": took, "written GB": size}


@torch.no_grad()
def _plain(model: Any, batches: list[MicroBatch]) -> float:
    """Sum of the loss over all places from logits in float32, a micro-batch at a time."""
    found = 0.0
    for batch in batches:
        inputs = {name: t.to(model.dtype) if t.is_floating_point() else t for name, t in batch.inputs.items()}
        hidden = run_trunk(model, **inputs, use_cache=False).last_hidden_state[batch.rows, batch.columns]
        for some, targets in zip(torch.split(hidden, 1024), torch.split(batch.targets, 1024), strict=True):
            logits = output_logits(model, some).float()
            found += float(nn.functional.cross_entropy(logits, targets, reduction="sum"))
    return found


def backward(shape: str) -> dict[str, Any]:
    """Forward and backward in bfloat16 without an optimizer: what a model that does not fit whole still shows."""
    with scratch() as root:
        folder = folder_of(shape, root / "model")
        model = random_model(folder, torch.bfloat16)
        encoder = ExampleEncoder(folder, Storage(home=root), model)
        settings = TrainRecipe(batch_size=64, micro_tokens=8192, freeze_vision=True)
        freeze(model, settings)
        loss = ResponseLoss(model, FrozenTower(model, vision_tower(model)))
        use_tree_attention(model)
        batches = _batches(encoder, root, settings)[:1]
        before = held()

        def both() -> None:
            for batch in batches:
                (loss(batch) / len(batch.targets)).backward()
            model.zero_grad()

        both()
        forget_peak()
        took = median(both, 3)
        tokens = sum(batch.inputs["input_ids"].numel() for batch in batches)
        return {"tokens": tokens, "tokens/s": tokens / took, "GB before": before, "peak GB": peak()}


def _batches(encoder: ExampleEncoder, root: Path, settings: TrainRecipe) -> list[MicroBatch]:
    """Questions with a picture each, and responses that share their first step."""
    store = ImageStore(root / ".mstar" / "images")
    length = 6 if CUDA else 2
    examples = []
    for question in range(QUESTIONS):
        out = io.BytesIO()
        Image.new("RGB", (SIDE, SIDE), (12 * question, 90, 200)).save(out, "PNG")
        image = store.put(out.getvalue())
        for response in range(RESPONSES):
            steps = [f"The sum {place * (response + 1)} is " + "3 + 4 = 7. " * length for place in range(STEPS)]
            examples.append(Example(f"How many bars are there in {question}?", (image,), tuple(steps)))
    trees = encoder.trees(grouped(examples), settings.micro_tokens)
    return micro_batches(trees, settings.micro_tokens, DEVICE)


class _HeadOnly(nn.Module):
    """A model whose trunk gives hidden states [1, P, D] that are there already."""

    def __init__(self, places: int, width: int, vocabulary: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.randn(1, places, width, device=DEVICE, dtype=dtype))
        self.head = nn.Linear(width, vocabulary, bias=False, device=DEVICE, dtype=dtype)
        self.dtype, self.config = dtype, SimpleNamespace(model_type="")

    def base_model(self, **inputs: Any) -> Any:
        return SimpleNamespace(last_hidden_state=self.hidden)

    def get_output_embeddings(self) -> nn.Module:
        return self.head


def cross_entropy() -> dict[str, Any]:
    """Loss, gradients, time and memory at the head of the 2 B model; the reference is float32."""
    width, vocabulary, sizes = (1536, 151_936, (2048, 8192, 32_768)) if CUDA else (64, 1000, (128,))
    found: dict[str, Any] = {}
    for places in sizes:
        torch.manual_seed(1)
        model = _HeadOnly(places, width, vocabulary, torch.bfloat16)
        targets = torch.randint(0, vocabulary, (places,), device=DEVICE)
        index = torch.arange(places, device=DEVICE)
        batch = MicroBatch({"input_ids": index[None]}, (), torch.zeros_like(index), index, targets)
        truth = _exact(model, targets)
        for name, at_a_time in (("plain", places), ("in pieces", 1024 if CUDA else 32)):
            found[f"{places} places {name}"] = _compared(model, ResponseLoss(model, None, at_a_time), batch, truth)
    return found


def _exact(model: _HeadOnly, targets: Tensor) -> tuple[float, Tensor, Tensor]:
    """Loss and gradients of hidden states and head in float32, 1,024 places at a time."""
    hidden, head = (one.detach().float() for one in (model.hidden[0], model.head.weight))
    by_head = torch.zeros_like(head)
    total, parts = 0.0, []
    for some, wanted in zip(torch.split(hidden, 1024), torch.split(targets, 1024), strict=True):
        logits = some @ head.T
        total += float(nn.functional.cross_entropy(logits, wanted, reduction="sum"))
        logits = logits.softmax(1)
        logits[torch.arange(len(wanted), device=DEVICE), wanted] -= 1
        parts.append(logits @ head)
        by_head += logits.T @ some
    return total, torch.cat(parts), by_head


def _compared(
    model: _HeadOnly, loss: ResponseLoss, batch: MicroBatch, truth: tuple[float, Tensor, Tensor]
) -> dict[str, float | str]:
    def both() -> None:
        model.zero_grad()
        loss(batch).backward()

    before = held()
    forget_peak()
    try:
        took = median(both)
    except torch.OutOfMemoryError:
        return {"outcome": "out of memory"}
    gradients = [model.hidden.grad[0], model.head.weight.grad]  # type: ignore[index]
    return {
        "loss off by": abs(float(loss(batch)) / truth[0] - 1),
        "gradient of hidden states off by": _off(gradients[0], truth[1]),
        "gradient of the head off by": _off(gradients[1], truth[2]),
        "ms": 1000 * took,
        "GB beside": peak() - before,
    }


def _off(got: Tensor | None, exact: Tensor) -> float:
    assert got is not None
    return float((got.float() - exact).norm() / exact.norm())
