"""A model in two parts, as PRM and trainer use it: the trunk up to the last hidden states, and the output head.

Logits over the whole vocabulary are made for few places only, so the head is never applied by the model itself.
"""

from typing import Any

from torch import Tensor

from mstar_models.attention import block_mask, dense_mask, reads_blocks


def run_trunk(model: Any, *, input_ids: Tensor, spans: Tensor | None = None, **inputs: Any) -> Any:
    """The trunk's output for the sequences of a `Layout`, or for the last tokens of trees behind a past.

    `spans` describe trees (`mstar_models.packing.tensors`); without them `inputs` have an attention mask.
    `last_hidden_state` has shape [B, T, D], and `past_key_values` are there where asked for.
    """
    if spans is not None:
        mask = block_mask if reads_blocks(model) else dense_mask
        inputs["attention_mask"] = mask(spans, input_ids.shape[1])
    return model.base_model(input_ids=input_ids, **inputs)


def output_head(model: Any) -> Any:
    """The module from hidden states [P, D] to logits [P, V], with `weight` [V, D] and `bias` [V] or None."""
    return model.get_output_embeddings()


def label_logits(model: Any, hidden: Tensor, labels: tuple[int, int]) -> Tensor:
    """Logits [P, 2] of two tokens from hidden states [P, D], in float32: two rows of the head, which must be whole."""
    head, rows = output_head(model), list(labels)
    logits: Tensor = hidden.float() @ head.weight[rows].float().T
    bias = getattr(head, "bias", None)
    return logits if bias is None else logits + bias[rows].float()
