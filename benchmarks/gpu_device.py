"""What rows on a GPU share: the device, its clock and its memory, and random models of sizes that people use."""

import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from family_folders import write_folder
from model_families import FAMILIES
from mstar_models.loading import device_here
from mstar_trainer.weight_files import write_weights

DEVICE = device_here()
CUDA = DEVICE.type == "cuda"
GIGA = 1e9
Settings = dict[str, Any]

_VISION = {"depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": 3420}
_ROPE = {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1_000_000.0}
_LONG = {"max_position_embeddings": 32_768, "rope_parameters": _ROPE}
SHAPES: dict[str, tuple[Settings, Settings]] = {
    "2b": (
        {"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
         "num_key_value_heads": 2, "vocab_size": 151_936, "tie_word_embeddings": True} | _LONG,
        _VISION | {"out_hidden_size": 1536, "fullatt_block_indexes": [7, 15, 23, 31]},
    ),
    "8b": (
        {"hidden_size": 3584, "intermediate_size": 18_944, "num_hidden_layers": 28, "num_attention_heads": 28,
         "num_key_value_heads": 4, "vocab_size": 152_064, "tie_word_embeddings": False} | _LONG,
        _VISION | {"out_hidden_size": 3584, "fullatt_block_indexes": [7, 15, 23, 31]},
    ),
}  # fmt: skip
"""Text and vision settings of Qwen2.5-VL at the sizes of Qwen2-VL-2B and Qwen2.5-VL-7B, which has 8.3 B weights."""
_TINY = {"max_position_embeddings": 32_768, "vocab_size": 1000}
PIXELS = {"min_pixels": 4 * 28 * 28, "max_pixels": 1024 * 28 * 28} if CUDA else {}


def describe() -> dict[str, Any]:
    """Device and versions, with the rates of a copy and a matrix product that the other rows may be held against."""
    import deepspeed
    import transformers

    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if CUDA else "cpu",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "deepspeed": deepspeed.__version__,
        "cores": os.cpu_count(),
    }
    side, size = (8192, 2**32) if CUDA else (128, 2**20)
    kind = torch.bfloat16 if CUDA else torch.float32
    one, other = (torch.randn(side, side, device=DEVICE, dtype=kind) for _ in range(2))
    found["TFLOP/s of a matrix product in bf16"] = 2 * side**3 / median(lambda: one @ other) / 1e12
    source = torch.randint(0, 255, (size,), device=DEVICE, dtype=torch.uint8)
    target = torch.empty_like(source)
    found["GB/s of a copy, read and written"] = 2 * size / median(lambda: target.copy_(source)) / GIGA
    if CUDA:
        found["GB"] = torch.cuda.get_device_properties(0).total_memory / GIGA
    return found


def folder_of(shape: str, folder: Path) -> Path:
    """A folder with the processor and the configuration of a Qwen2.5-VL of this shape, and no weights.

    Without a GPU every shape is tiny.
    """
    family = next(one for one in FAMILIES if one.name == "qwen2_5_vl")
    write_folder(family, folder)
    settings = json.loads((folder / "config.json").read_text())
    text, vision = SHAPES[shape] if CUDA else (_TINY, {})
    settings["text_config"] = {k: v for k, v in settings["text_config"].items() if k != "layer_types"} | text
    settings["vision_config"] |= vision
    settings |= {"dtype": "bfloat16", "tie_word_embeddings": text.get("tie_word_embeddings", False)}
    settings["text_config"]["dtype"] = "bfloat16"
    (folder / "config.json").write_text(json.dumps(settings))
    images = json.loads((folder / "preprocessor_config.json").read_text()) | PIXELS
    (folder / "preprocessor_config.json").write_text(json.dumps(images))
    (folder / "model.safetensors").unlink()
    return folder


def random_model(folder: Path, dtype: torch.dtype) -> Any:
    """A model with random weights, made on the device."""
    torch.manual_seed(0)
    with DEVICE:
        return AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder), dtype=dtype).eval()


def write_random(folder: Path, dtype: torch.dtype) -> float:
    """Random weights in the folder, by the trainer's own writer; returns the seconds that writing took."""
    model = random_model(folder, dtype)
    # Tied weights once.
    own = {id(tensor): (name, tensor) for name, tensor in reversed(model.state_dict(keep_vars=True).items())}
    return seconds(lambda: write_weights(folder, model, ((name, t.detach().cpu()) for name, t in own.values()), "r-0"))


def moved(folder: Path) -> Callable[[Path], None]:
    """Fills an artefact with this folder as its model, without another copy of the weights."""

    def fill(target: Path) -> None:
        shutil.move(folder, target / "model")

    return fill


def wait() -> None:
    """Until the device has done what it was given."""
    if CUDA:
        torch.cuda.synchronize()


def seconds(work: Callable[[], Any]) -> float:
    """Of one run."""
    wait()
    began = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - began


def median(work: Callable[[], Any], repeats: int = 5) -> float:
    """Seconds of the median run, after one that warms up."""
    work()
    return statistics.median(seconds(work) for _ in range(repeats if CUDA else 1))


def held() -> float:
    """GB that tensors take on the device."""
    return torch.cuda.memory_allocated() / GIGA if CUDA else 0.0


def forget_peak() -> None:
    """Begin to look for a new peak."""
    if CUDA:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak() -> float:
    """GB that tensors took at most since `forget_peak`."""
    return torch.cuda.max_memory_allocated() / GIGA if CUDA else 0.0


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that goes again."""
    with tempfile.TemporaryDirectory(prefix="mstar-gpu-") as folder:
        yield Path(folder)
