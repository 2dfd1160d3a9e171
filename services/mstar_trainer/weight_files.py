"""Writes a model's weights shard by shard, as transformers writes them, and never holds more than one shard.

Names and shapes are those of a download from a hub: transformers may hold them otherwise in memory, and vLLM and other
engines expect them as published.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor
from transformers.core_model_loading import revert_weight_conversion

from mstar.errors import InvalidInput

SHARD_BYTES = 256 * 1000**2
"""Size of one file; loading verifies the hashes of several in parallel."""
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_LAYER = re.compile(r".*?\.\d+\.")


def write_weights(
    folder: Path, model: Any, tensors: Iterable[tuple[str, Tensor]], artefact: str, size: int = SHARD_BYTES
) -> None:
    """Write named tensors of any shape, and the model's configuration, into an existing folder.

    `size`: bytes of one file. Raises InvalidInput for a weight that is not finite, so that services which load it need
    not look again.
    """
    shard: dict[str, Tensor] = {}
    files: list[list[str]] = []
    total = 0
    for name, tensor in _as_published(model, tensors):
        require_finite(name, tensor, artefact)
        if shard and sum(t.nbytes for t in shard.values()) + tensor.nbytes > size:
            _write(folder, shard, files)
            shard = {}
        shard[name] = tensor.contiguous()
        total += tensor.nbytes
    _write(folder, shard, files)
    _name(folder, files, total)
    model.config.dtype = str(model.dtype).removeprefix("torch.")
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)


def require_finite(name: str, tensor: Tensor, artefact: str) -> None:
    """Raises InvalidInput where a weight [...] of any shape has a number that is not finite."""
    if not tensor.isfinite().all():
        raise InvalidInput(
            f"weight {name} of {artefact} is not finite after training: lower train.learning_rate",
            field="train.learning_rate",
        )


def _as_published(model: Any, tensors: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Undo what transformers did when it loaded the weights, layer by layer: what it joins lies in one layer."""
    for _, layer in groupby(tensors, key=lambda one: _layer(one[0])):
        yield from revert_weight_conversion(model, dict(layer)).items()


def _layer(name: str) -> str:
    found = _LAYER.match(name)
    return found.group() if found else name


def _write(folder: Path, shard: dict[str, Tensor], files: list[list[str]]) -> None:
    # Under a temporary name: loaders expect the number of files in each name, and that is known at the end.
    files.append(list(shard))
    save_file(shard, folder / _part(len(files)), metadata={"format": "pt"})


def _name(folder: Path, files: list[list[str]], total: int) -> None:
    """Give the files the names that loaders look for, now that their number is known."""
    if len(files) == 1:
        (folder / _part(1)).rename(folder / SINGLE)
        return
    where: dict[str, str] = {}
    for number, names in enumerate(files, 1):
        name = f"model-{number:05d}-of-{len(files):05d}.safetensors"
        (folder / _part(number)).rename(folder / name)
        where |= dict.fromkeys(names, name)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))}
    (folder / INDEX).write_text(json.dumps(index, indent=2))


def _part(number: int) -> str:
    return f"part-{number:05d}.safetensors"
