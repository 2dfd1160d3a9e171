"""How much memory a decode batch may take for keys and values, and how much of it a token takes."""

from dataclasses import dataclass
from typing import Any

import torch

USUAL_CACHE_BYTES = 1 << 30
"""For the keys and values of a decode batch where nobody says how much, and there is no GPU."""
LEAST_CACHE_BYTES = 64 << 20
"""On a GPU that the weights fill: samples are then decoded a few at a time."""


@dataclass(frozen=True)
class DecodeMemory:
    """Of a GPU, in bytes."""

    free: int
    total: int

    @classmethod
    def beside(cls, weights: int, *, free: int, reserved: int, total: int) -> "DecodeMemory":
        """The memory with nothing of this process on it but new weights, `free` of it being free now.

        `reserved`: what this process holds now, the new weights included. Old weights, which serve until the new ones
        do, and what the allocator kept of past batches are given back then.
        """
        return cls(min(free + reserved, total) - weights, total)


def cache_budget(wanted: int | None, gpu: DecodeMemory | None, share: float) -> int:
    """Bytes for the keys and values of a decode batch.

    `wanted`: what the operator says, which holds. `gpu`: its memory with the weights on it; None: there is none.
    `share`: of its memory, what the service may take. Half of what is left goes to the batch: prefixes that come next
    take half of that again (`hf_batches.PREFILLED_SHARE`), and the last quarter is for activations and logits.
    """
    if wanted is not None:
        return wanted
    if gpu is None:
        return USUAL_CACHE_BYTES
    room = gpu.free - int((1 - share) * gpu.total)
    return max(LEAST_CACHE_BYTES, room // 2)


def memory_beside(model: torch.nn.Module) -> DecodeMemory | None:
    """Of the GPU that a model is on, once nothing else of this process is there; None: it is on the CPU."""
    tensors = [*model.parameters(), *model.buffers()]
    device = tensors[0].device
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    weights = sum(one.nbytes for one in tensors)
    return DecodeMemory.beside(weights, free=free, reserved=torch.cuda.memory_reserved(device), total=total)


def cache_bytes_per_token(text: Any, dtype: torch.dtype) -> int:
    """Bytes of the keys and values of one token in all layers."""
    # Layers may differ in the number and width of their heads, as Gemma 4's do.
    return sum(map(_elements_per_token, text.per_layer_config)) * dtype.itemsize


def _elements_per_token(layer: Any) -> int:
    """Elements of the keys and values of one token in a layer with this configuration."""
    keys = values = getattr(layer, "head_dim", None) or layer.hidden_size // layer.num_attention_heads
    if getattr(layer, "kv_lora_rank", None):
        # transformers keeps latent attention's keys and values expanded: their two widths are their own.
        keys, values = layer.qk_nope_head_dim + layer.qk_rope_head_dim, layer.v_head_dim
    return int((keys + values) * layer.num_key_value_heads)
