"""Comparing the tensors of two model folders, whatever files they are spread over."""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

LANGUAGE_PARTS = frozenset({"text_model", "language_model", "lm_head"})
"""What names of a language model's tensors have in them. The others lie on the way from pixels to image features."""


def same_tensors(one: Path, other: Path, of_interest: Callable[[str], bool] = lambda name: True) -> bool:
    """Whether the tensors whose names are of interest are equal, bit for bit. False when a folder cannot be read."""
    try:
        ours, theirs = (_places(folder, of_interest) for folder in (one, other))
        # Tensor by tensor from mapped files: two whole models need not fit into memory.
        return ours.keys() == theirs.keys() and all(_same(name, ours[name], theirs[name]) for name in ours)
    except (OSError, SafetensorError):
        return False


def sees(name: str) -> bool:
    """Whether a tensor may take part in making image features: everything that is not surely the language model's."""
    return LANGUAGE_PARTS.isdisjoint(name.split("."))


def _places(folder: Path, of_interest: Callable[[str], bool]) -> dict[str, Path]:
    """Name → file of each tensor. Raises FileNotFoundError for a folder without weights."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(folder)
    places: dict[str, Path] = {}
    for path in files:
        with safe_open(path, framework="pt") as tensors:
            places |= {name: path for name in tensors.keys() if of_interest(name)}  # noqa: SIM118 - no mapping
    return places


def _same(name: str, one: Path, other: Path) -> bool:
    with safe_open(one, framework="pt") as ours, safe_open(other, framework="pt") as theirs:
        left, right = ours.get_tensor(name), theirs.get_tensor(name)
        return left.dtype == right.dtype and torch.equal(left, right)
