"""Processor and model from a local folder: safetensors only, no code from the folder, no hub.

What this leaves out: moving a model to its device, which is for who runs it.
"""

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForImageTextToText, AutoProcessor

from mstar.errors import InvalidInput

HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
"""Types of half the size that models are served in, by their names in configurations."""


def load_processor(folder: Path) -> Any:
    """Tokenizer and image processor. Raises InvalidInput for a folder without them."""
    _require(folder, "config.json")
    with _told(folder):
        # The Pillow backend needs no torchvision and gives the same pixels on every machine.
        return AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False, backend="pil")


def device_here() -> torch.device:
    """Where models run on this machine."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def dtype_for(device: torch.device, folder: Path) -> torch.dtype:
    """What weights are loaded as unless told otherwise: on a CPU float32, which is the faster and the finer one there;
    elsewhere what the folder's configuration says, since twice its size may not fit.
    """
    if device.type == "cpu":
        return torch.float32
    config = json.loads((folder / "config.json").read_text())
    named = (part.get(key) for part in (config, config.get("text_config", {})) for key in ("dtype", "torch_dtype"))
    return HALVES.get(next(filter(None, named), ""), torch.float32)


def load_model(folder: Path, dtype: torch.dtype | None = None) -> Any:
    """The model, in evaluation mode and on the CPU; `dtype` unset is that of `dtype_for` this machine.

    Raises InvalidInput for a folder whose safetensors do not give it whole.
    """
    _require(folder, "config.json")
    if not any(folder.glob("*.safetensors")):
        raise InvalidInput(f"model folder {folder.name} holds no safetensors file", field="model")
    with _told(folder):
        model, report = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=dtype_for(device_here(), folder) if dtype is None else dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    # transformers fills what is missing with random numbers and only logs it.
    if report["missing_keys"]:
        raise InvalidInput(f"model folder {folder.name} lacks weight {min(report['missing_keys'])}", field="model")
    return model.eval()


def free_memory() -> None:
    """Give back what no object holds any more: a model is a circle of references, and a device keeps a reserve."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _require(folder: Path, name: str) -> None:
    if not (folder / name).is_file():
        raise InvalidInput(f"model folder {folder.name} holds no {name}", field="model")


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What transformers finds wrong with a folder, as an error of ours in one line."""
    try:
        yield
    except (ValueError, OSError, RuntimeError, SafetensorError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InvalidInput(f"model folder {folder.name} cannot be loaded: {reason}", field="model") from error
