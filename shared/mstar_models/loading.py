"""Processor and model from a local folder: safetensors only, no code from the folder, no hub."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from mstar.errors import InvalidInput


def load_processor(folder: Path) -> Any:
    """Tokenizer and image processor. Raises InvalidInput for a folder without them."""
    _require(folder, "config.json")
    # The Pillow backend needs no torchvision and gives the same pixels on every machine.
    return AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False, backend="pil")


def load_model(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """The model, in evaluation mode. Raises InvalidInput for a folder without safetensors."""
    _require(folder, "config.json")
    if not any(folder.glob("*.safetensors")):
        raise InvalidInput(f"model folder {folder.name} holds no safetensors file", field="model")
    model = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=dtype, local_files_only=True, trust_remote_code=False, use_safetensors=True
    )
    return model.eval()


def _require(folder: Path, name: str) -> None:
    if not (folder / name).is_file():
        raise InvalidInput(f"model folder {folder.name} holds no {name}", field="model")
