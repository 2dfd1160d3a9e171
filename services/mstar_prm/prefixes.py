"""Caches keys and values of recently scored prompts: a question that comes back costs its responses only.

A prompt is known by the content of its tokens and pixels. It belongs to one set of weights and goes with it. What this
leaves out: responses, which are seldom the same.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from cachetools import LRUCache
from transformers import DynamicCache

from mstar_models.encoding import EncodedPrompt

Prefix = tuple[tuple[torch.Tensor, torch.Tensor], ...]
"""For each layer the keys and the values of one prompt, [1, heads, P, width] each."""


def digest(prompt: EncodedPrompt) -> bytes:
    """What a prompt is known by."""
    content = hashlib.sha256(repr(prompt.input_ids).encode())
    for name in sorted(prompt.pixels):
        tensor = prompt.pixels[name].contiguous()
        # With shape and type, since equal bytes may be another image in another shape.
        content.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        content.update(tensor.view(torch.uint8).numpy().tobytes())
    return content.digest()


class Prefixes:
    """The last prompts, as many as a number of bytes holds. Used by one thread."""

    def __init__(self, limit_bytes: int) -> None:
        self._kept: LRUCache[bytes, Prefix] = LRUCache(limit_bytes, getsizeof=_size)

    def find(self, key: bytes) -> Prefix | None:
        """The prompt's prefix; it is the last one to go then."""
        return self._kept.get(key)

    def keep(self, key: bytes, cache: Any, row: int, length: int, width: int) -> None:
        """Remember the first `length` tokens of a row of a forward pass over `width` tokens.

        `cache`: keys and values [B, heads, width, head width] for each layer.
        """
        layers = [(layer.keys, layer.values) for layer in cache.layers]
        # A layer that sees a window only has forgotten the beginning; one for images has nothing where there are none.
        if key in self._kept or any(keys is None or keys.shape[2] != width for keys, _ in layers):
            return
        # A prompt that is larger than the whole memory is not kept.
        with suppress(ValueError):
            self._kept[key] = tuple((_first(keys, row, length), _first(values, row, length)) for keys, values in layers)


def _size(prefix: Prefix) -> int:
    return sum(keys.nbytes + values.nbytes for keys, values in prefix)


def joined(prefixes: Sequence[Prefix]) -> DynamicCache:
    """Prefixes of one length P as the past of a batch: [B, heads, P, head width] for each layer."""
    cache = DynamicCache()
    for place, layers in enumerate(zip(*prefixes, strict=True)):
        keys, values = (torch.cat(parts) for parts in zip(*layers, strict=True))
        cache.update(keys, values, place)
    return cache


def behind(inputs: dict[str, torch.Tensor], length: int) -> dict[str, torch.Tensor]:
    """Inputs of whole sequences without their first `length` tokens, whose keys and values are in the cache.

    `input_ids` [B, T] and `position_ids` [B, T] or [3, B, T] become T - `length` wide; `spans` [B, 2, T] stay whole,
    since what is left still attends to the cached tokens.
    """
    return {
        "input_ids": inputs["input_ids"][:, length:],
        "position_ids": inputs["position_ids"][..., length:],
        "spans": inputs["spans"],
    }


def _first(tensor: torch.Tensor, row: int, length: int) -> torch.Tensor:
    """[1, heads, length, head width] of a row of [B, heads, T, head width]."""
    # A copy: a view would keep the whole batch alive.
    return tensor[row : row + 1, :, :length].clone()
