"""Which tokens see which in a batch of packed trees, and the attention by it: a dense mask on CPUs, blocks on GPUs.

A dense mask has T × T entries, which is 400 MB for 20,000 tokens and as much again for the copy that a kernel adds to
the scores. FlexAttention (arXiv 2412.05496) takes a list of blocks with something to see instead, and leaves the other
blocks out of the computation too. What this leaves out: attention while sampling (`mstar_policy.hf_attention`).
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "tree_attention"
BLOCKS_FROM = 4096
"""Tokens of a tree from which blocks are used. Below, a dense mask is as fast (docs/gpu-runs.md) and needs no kernel to
be compiled, which takes seconds."""
BLOCK = 128
"""Side of a block in tokens: the one that FlexAttention's kernels are tuned for."""
_OPTIONS = {"FORCE_USE_FLEX_ATTENTION": True}
"""torch has another kernel for less than 128 queries, which fails to compile for 65 and more with grouped heads."""
_TOGETHER = 8
"""Rows of blocks that are looked at together: 1,024 × T entries at a time."""


@dataclass(frozen=True)
class Window:
    """How far back layers see that do not see everything."""

    tokens: int
    positions: Tensor
    """Of all tokens of the trees, [B, T]."""


def dense_mask(spans: Tensor, queries: int, window: Window | None = None) -> Tensor:
    """Boolean [B, 1, queries, T], true where attended, of the last tokens of trees with spans [B, 2, T]."""
    order, last = spans.unbind(1)
    own = order[:, -queries:, None]
    # [B, queries, T]: a key is seen from where the walk enters it to where it leaves what grows from it.
    seen = (order[:, None] <= own) & (own < last[:, None])
    if window is not None:
        seen &= window.positions[:, -queries:, None] - window.positions[:, None] < window.tokens
    return seen[:, None]


def block_mask(spans: Tensor, queries: int, window: Window | None = None) -> BlockMask:
    """The same as blocks of `BLOCK` × `BLOCK`, from spans [B, 2, T]; memory grows with (T / BLOCK)²."""
    order, last = (one.contiguous() for one in spans.unbind(1))
    own = order[:, -queries:].contiguous()
    # Without a window everything is near.
    reach = spans.shape[2] if window is None else window.tokens
    places = torch.zeros_like(order) if window is None else window.positions.to(order.dtype)
    asking = places[:, -queries:].contiguous()

    def seen(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (order[batch, key] <= own[batch, query]) & (own[batch, query] < last[batch, key])

    def near(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return seen(batch, head, query, key) & (asking[batch, query] - places[batch, key] < reach)

    some, every = _blocks((order, last, places), (own, asking), reach)
    return BlockMask.from_kv_blocks(
        # Only blocks that are seen in part are computed with the mask; whole ones are spared it.
        *_listed(some & ~every),
        *_listed(every),
        BLOCK_SIZE=BLOCK,
        mask_mod=seen if window is None else near,
        seq_lengths=(queries, order.shape[1]),
    )


def _blocks(keys: tuple[Tensor, Tensor, Tensor], queries: tuple[Tensor, Tensor], reach: int) -> tuple[Tensor, Tensor]:
    """For each block of queries and keys [B, Q / BLOCK, T / BLOCK]: whether any entry is seen, and whether all are.

    `keys`: place in the tree, its end and position of each key, [B, T]; `queries`: place and position, [B, Q].
    """
    # Filled up with keys that nobody sees and queries that see nobody.
    order, last, places = (
        _filled(one, fill) for one, fill in zip(keys, (torch.iinfo(torch.int32).max, 0, 0), strict=True)
    )
    own, asking = (_filled(one, fill) for one, fill in zip(queries, (-1, 0), strict=True))
    some, every = [], []
    rows = _TOGETHER * BLOCK
    for mine, at in zip(torch.split(own, rows, dim=1), torch.split(asking, rows, dim=1), strict=True):
        seen = (order[:, None] <= mine[:, :, None]) & (mine[:, :, None] < last[:, None])
        seen &= at[:, :, None] - places[:, None] < reach
        # [B, rows of blocks, BLOCK, columns of blocks, BLOCK]
        tiles = seen.reshape(len(seen), -1, BLOCK, seen.shape[2] // BLOCK, BLOCK)
        some.append(tiles.any(4).any(2))
        every.append(tiles.all(4).all(2))
    return torch.cat(some, 1), torch.cat(every, 1)


def _filled(values: Tensor, fill: int) -> Tensor:
    """[B, N] filled up to whole blocks."""
    return functional.pad(values, (0, -values.shape[1] % BLOCK), value=fill)


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """What FlexAttention reads of boolean blocks [B, rows, columns].

    How many each row has [B, 1, rows], and all columns of each row, those first [B, 1, rows, columns].
    """
    which = blocks.byte().argsort(dim=-1, descending=True, stable=True)
    return blocks.sum(-1, dtype=torch.int32)[:, None], which.int()[:, None]


def use_tree_attention(model: Any) -> None:
    """Have a model that is on its device read trees as blocks, if the device has the kernels; else change nothing."""
    device = model.device
    # FlexAttention's kernels need the asynchronous copies and bfloat16 of Ampere.
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0):
        read_blocks(model)


def read_blocks(model: Any, fewest: int = BLOCKS_FROM) -> None:
    """Switch a model to block masks for trees of `fewest` tokens and more, on any device.

    A model whose code has attention of its own keeps the dense mask.
    """
    AttentionInterface.register(NAME, tree_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
    # For such a model transformers logs a warning and changes nothing.
    if model.config.get_text_config()._attn_implementation == NAME:
        model.blocks_from = fewest


def tree_mask(model: Any, spans: Tensor, queries: int, window: Window | None = None) -> Tensor | BlockMask:
    """The mask that is best for a model and trees with spans [B, 2, T], of their last `queries` tokens."""
    fewest = getattr(model, "blocks_from", None)
    wide = fewest is not None and spans.shape[2] >= fewest
    return (block_mask if wide else dense_mask)(spans, queries, window)


def tree_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | BlockMask | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend from query [B, heads, Q, width] to key and value [B, key-value heads, T, width].

    Returns [B, Q, heads, width]. Whatever has no block mask, such as a vision tower, is left to SDPA.
    """
    if not isinstance(attention_mask, BlockMask):
        result: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return result
    attend = flex_attention if query.device.type == "cpu" else _compiled()
    grouped = query.shape[1] != key.shape[1]
    found = attend(
        query, key, value, block_mask=attention_mask, scale=scaling, enable_gqa=grouped, kernel_options=_OPTIONS
    )
    return found.transpose(1, 2).contiguous(), None


@cache
def _compiled() -> Any:
    """FlexAttention as a fused kernel; uncompiled it holds all scores. One kernel serves all lengths."""
    return torch.compile(flex_attention, dynamic=True)
