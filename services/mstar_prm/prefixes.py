"""Keys and values of the prompts that were scored last: a question that comes back costs its responses only.

A prompt is known by the content of its tokens and pixels. It belongs to one set of weights and goes with it. What this
leaves out: responses, which are seldom the same.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from mstar_models.encoding import EncodedPrompt

Prefix = tuple[tuple[torch.Tensor, torch.Tensor], ...]
"""For each layer the keys and the values of one prompt, [1, heads, P, width] each."""


def digest(prompt: EncodedPrompt) -> bytes:
    """What a prompt is known by."""
    content = hashlib.sha256(repr(prompt.input_ids).encode())
    for name in sorted(prompt.pixels):
        tensor = prompt.pixels[name].contiguous()
        content.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        content.update(tensor.view(torch.uint8).numpy().tobytes())
    return content.digest()


class Prefixes:
    """The last prompts, as many as a number of bytes holds. Used by one thread."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._bytes = 0
        self._kept: OrderedDict[bytes, Prefix] = OrderedDict()

    def find(self, key: bytes) -> Prefix | None:
        """The prompt's prefix; it is the last one to go then."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: bytes, cache: Any, row: int, length: int, width: int) -> None:
        """Remember the first `length` tokens of a row of a forward pass over `width` tokens."""
        layers = [(layer.keys, layer.values) for layer in cache.layers]
        # A layer that sees a window only has forgotten the beginning.
        if key in self._kept or any(keys.shape[2] != width for keys, _ in layers):
            return
        prefix = tuple((_first(keys, row, length), _first(values, row, length)) for keys, values in layers)
        size = sum(keys.nbytes + values.nbytes for keys, values in prefix)
        if size > self._limit:
            return
        self._kept[key] = prefix
        self._bytes += size
        while self._bytes > self._limit:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= sum(keys.nbytes + values.nbytes for keys, values in gone)


def joined(prefixes: Sequence[Prefix]) -> DynamicCache:
    """Prefixes of one length as the past of a batch."""
    cache = DynamicCache()
    for place, layers in enumerate(zip(*prefixes, strict=True)):
        keys, values = (torch.cat(parts) for parts in zip(*layers, strict=True))
        cache.update(keys, values, place)
    return cache


def behind(inputs: dict[str, torch.Tensor], length: int) -> dict[str, torch.Tensor]:
    """Inputs of whole sequences without their first tokens, which only the mask still knows."""
    return {
        "input_ids": inputs["input_ids"][:, length:],
        "position_ids": inputs["position_ids"][..., length:],
        "attention_mask": inputs["attention_mask"][:, :, length:],
    }


def _first(tensor: torch.Tensor, row: int, length: int) -> torch.Tensor:
    # A copy: a view would keep the whole batch alive.
    return tensor[row : row + 1, :, :length].clone()
