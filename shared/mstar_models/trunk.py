"""A model in two parts, as PRM and trainer use it: the trunk up to the last hidden states, and the output head.

Logits over the whole vocabulary are made for few places only, so the head is never applied by the model itself.
"""

from typing import Any

from torch import Tensor

from mstar_models.attention import block_mask, dense_mask, reads_blocks


def run_trunk(model: Any, *, spans: Tensor, input_ids: Tensor, **inputs: Any) -> Any:
    """The trunk's output for packed trees (`mstar_models.packing.tensors`), or for their last tokens behind a past.

    `last_hidden_state` has shape [B, T, D], and `past_key_values` are there where asked for.
    """
    mask = block_mask if reads_blocks(model) else dense_mask
    return model.base_model(input_ids=input_ids, attention_mask=mask(spans, input_ids.shape[1]), **inputs)


def output_head(model: Any) -> Any:
    """The module from hidden states [P, D] to logits [P, V], with `weight` [V, D] and `bias` [V] or None."""
    return model.get_output_embeddings()


def label_logits(model: Any, hidden: Tensor, labels: tuple[int, int]) -> Tensor:
    """Logits [P, 2] of two tokens from hidden states [P, D], in float32: two rows of the head, which must be whole."""
    head, rows = output_head(model), list(labels)
    logits: Tensor = hidden.float() @ head.weight[rows].float().T
    bias = getattr(head, "bias", None)
    return logits if bias is None else logits + bias[rows].float()
