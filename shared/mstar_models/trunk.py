"""A model in two parts, as PRM and trainer use it: the trunk up to the last hidden states, and the output head.

Logits over the whole vocabulary are made for few places only, so the head is never applied by the model itself.
"""

from typing import Any

from torch import Tensor


def run_trunk(model: Any, **inputs: Any) -> Any:
    """The trunk's output; `last_hidden_state` has shape [B, T, D], and `past_key_values` are there where asked for."""
    return model.base_model(**inputs)


def output_head(model: Any) -> Any:
    """The module from hidden states [P, D] to logits [P, V], with `weight` [V, D] and `bias` [V] or None."""
    return model.get_output_embeddings()


def label_logits(model: Any, hidden: Tensor, labels: tuple[int, int]) -> Tensor:
    """Logits [P, 2] of two tokens from hidden states [P, D], in float32: two rows of the head, which must be whole."""
    head, rows = output_head(model), list(labels)
    logits: Tensor = hidden.float() @ head.weight[rows].float().T
    bias = getattr(head, "bias", None)
    return logits if bias is None else logits + bias[rows].float()
