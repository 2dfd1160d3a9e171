"""Grouped-query attention for decoding: query heads that share a key-value head become several queries of one head.

With one query token a row this is the same arithmetic, without the copy of all keys and values for every query head
that transformers makes when there is a mask. Prefill and vision towers use the implementation of transformers.
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
    """Attend from query [rows, heads, tokens, width] to key [rows, key-value heads, columns, width].

    `value` is of the same shape up to its width, which may be another one. `attention_mask` [rows, 1, tokens, columns]
    is added to the scores. Returns [rows, tokens, heads, width of the values].
    """
    rows, heads, tokens, width = query.shape
    if tokens != 1 or attention_mask is None:
        result: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return result
    shared = key.shape[1]
    # Query heads lie next to the others of their key-value head: [rows, key-value heads, queries, width].
    grouped = query.view(rows, shared, heads // shared, width)
    found = scaled_dot_product_attention(grouped, key, value, attn_mask=attention_mask, scale=scaling)
    return found.reshape(rows, 1, heads, value.shape[3]), None


def use_grouped_attention(model: Any) -> None:
    """Switch a model to it."""
    AttentionInterface.register(NAME, grouped_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
