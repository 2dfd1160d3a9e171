"""Attention for decoding: query heads that share keys and values are read as several queries of one head.

With one query token a row that is the same arithmetic, and spares the copy of all keys and values for every query head
that transformers makes whenever there is a mask. Prefill and vision towers take transformers' own path.
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "grouped_sdpa"


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Query [rows, heads, tokens, width], key and value [rows, key-value heads, columns, width].

    Returns [rows, tokens, heads, width].
    """
    rows, heads, tokens, width = query.shape
    if tokens != 1 or attention_mask is None:
        result: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return result
    shared = key.shape[1]
    grouped = query.view(rows, shared, heads // shared, width)
    found = scaled_dot_product_attention(grouped, key, value, attn_mask=attention_mask, scale=scaling)
    return found.reshape(rows, 1, heads, width), None


def use_grouped_attention(model: Any) -> None:
    """Make a model use it, where the model's attention can be chosen at all."""
    AttentionInterface.register(NAME, grouped_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
