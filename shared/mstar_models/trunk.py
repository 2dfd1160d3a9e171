"""A model in two parts, as PRM and trainer use it: the trunk up to the last hidden states, and the output head.

Logits over the whole vocabulary are made for few places only, so the head is never applied by the model itself.
"""

from typing import Any

import torch
from torch import Tensor

from mstar_models.attention import Window, tree_mask
from mstar_models.families import family_of
from mstar_models.suitability import windows


def run_trunk(model: Any, *, input_ids: Tensor, spans: Tensor | None = None, **inputs: Any) -> Any:
    """The trunk's output for the sequences of a `SequenceLayout`, or for the last tokens of trees behind a past.

    `spans` describe trees (`mstar_models.packing.tensors`); without them `inputs` have an attention mask.
    `last_hidden_state` has shape [B, T, D], and `past_key_values` are there where asked for.
    """
    if spans is not None:
        inputs["attention_mask"] = _masks(model, spans, inputs["position_ids"])
        # The tree's mask has what they say already.
        inputs.pop("token_type_ids", None)
    # Code from a folder has no base model of one form, so its family gives the trunk.
    trunk = model.base_model if family_of(model.config).remote is None else model.trunk
    return trunk(input_ids=input_ids, **inputs)


def _masks(model: Any, spans: Tensor, positions: Tensor) -> Any:
    """The mask of trees with spans [B, 2, T] for queries at `positions` [B, Q] or [3, B, Q].

    Where some layers see a window only, a mask for each kind of layer.
    """
    queries = positions.shape[-1]
    whole = tree_mask(model, spans, queries)
    narrow = windows(model)
    if not narrow:
        return whole
    # Keys before the first query are a prompt's.
    known = torch.arange(spans.shape[2] - queries, device=positions.device)
    places = torch.cat([known.expand(len(positions), -1), positions], dim=1)
    masks = {kind: tree_mask(model, spans, queries, Window(width, places)) for kind, width in narrow.items()}
    return masks[""] if "" in masks else {"full_attention": whole} | masks


def output_head(model: Any) -> Any:
    """The module from hidden states [P, D] to logits [P, V], with `weight` [V, D] and `bias` [V] or None."""
    return model.get_output_embeddings()


def output_logits(model: Any, hidden: Tensor) -> Tensor:
    """Logits [P, V] from hidden states [P, D], as the model's own forward pass makes them."""
    return shaped(model.config, output_head(model)(hidden))


def shaped(config: Any, values: Tensor) -> Tensor:
    """What an output head gives, [...], as the model's logits: some families scale or bend it."""
    shape = family_of(config).shape_logits
    return values if shape is None else shape(config, values)


def label_logits(model: Any, hidden: Tensor, labels: tuple[int, int]) -> Tensor:
    """Logits [P, 2] of two tokens from hidden states [P, D], in float32: two rows of the head, which must be whole."""
    head, rows = output_head(model), list(labels)
    # In float32: bfloat16 has three digits, and the scores of two responses may differ in the fourth.
    logits: Tensor = hidden.float() @ head.weight[rows].float().T
    bias = getattr(head, "bias", None)
    return shaped(model.config, logits if bias is None else logits + bias[rows].float())
