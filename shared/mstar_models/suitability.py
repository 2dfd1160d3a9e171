"""Which architectures the services can serve and train: what a model's attention must be for batches and for trees.

Everything is read from the configuration and the signature of the forward pass, so that a model is refused when it is
loaded and never gives wrong numbers. `docs/models.md` lists the outcome for each family.
"""

from collections.abc import Iterable
from inspect import signature
from typing import Any

from mstar.errors import InvalidInput

LINEAR = frozenset({"linear_attention", "mamba", "recurrent", "conv"})
"""Kinds of layer that keep a running state instead of keys and values."""
_WINDOWS = {"sliding_attention": "sliding_window", "chunked_attention": "attention_chunk_size"}
"""Kind of layer → setting that says how many tokens it sees."""


def require_plain_causal(model: Any) -> None:
    """Raises InvalidInput for a model whose numbers would be others in a tree.

    transformers uses a ready mask as it is in every layer: what a layer takes away from a causal mask of its own, or
    adds to it, would be lost without a word.
    """
    obstacle = _packing_obstacle(
        model.config, model.config.get_text_config(), signature(model.base_model.forward).parameters
    )
    if obstacle is not None:
        raise InvalidInput(f"models of type {model.config.model_type} cannot be packed: {obstacle}", field="model")


def _packing_obstacle(config: Any, text: Any, arguments: Iterable[str]) -> str | None:
    """Why not, and what to do about it."""
    kinds = set(getattr(text, "layer_types", None) or ())
    unknown = sorted(kinds - _WINDOWS.keys() - {"full_attention"})
    other = "take one with plain causal attention, such as Idefics3, LLaVA or Qwen2-VL"
    if config.is_encoder_decoder or getattr(text, "cross_attention_layers", None):
        return f"its images are not part of the text's sequence; {other}"
    ahead = any(getattr(part, "use_bidirectional_attention", None) for part in (config, text))
    if ahead or "token_type_ids" in arguments:
        return f"tokens of its prompt or image see those behind them; {other}"
    if unknown:
        return f"it has layers of kind {', '.join(unknown)}; {other}"
    window = _narrowest(text, kinds)
    if window is not None and window < text.max_position_embeddings:
        return f"some layers see {window} tokens only; set max_position_embeddings in its config.json to {window}"
    return None


def _narrowest(text: Any, kinds: set[str]) -> int | None:
    """How many tokens the layer sees that sees the fewest; None: all of them."""
    settings = [_WINDOWS[kind] for kind in kinds & _WINDOWS.keys()] if kinds else ["sliding_window"]
    return min((width for name in settings if (width := getattr(text, name, None)) is not None), default=None)


def require_cached_decoding(model: Any) -> None:
    """Raises InvalidInput for a model that batched decoding over one cache of keys and values cannot sample from."""
    text = model.config.get_text_config()
    if model.config.is_encoder_decoder or getattr(text, "cross_attention_layers", None):
        obstacle = "its images are not part of the text's sequence"
    elif stateful := sorted(LINEAR & set(getattr(text, "layer_types", None) or ())):
        obstacle = f"its layers of kind {', '.join(stateful)} keep no keys and values"
    elif getattr(text, "kv_lora_rank", None):
        obstacle = "its keys and values have different widths (latent attention)"
    else:
        return
    raise InvalidInput(
        f"models of type {model.config.model_type} cannot be sampled with the transformers engine: {obstacle}; set "
        "MSTAR_POLICY_ENGINE=vllm, or take another model",
        field="model",
    )


def image_kinds(model: Any, ids: Any) -> dict[str, Any]:
    """`token_type_ids` [B, T] for token ids [B, T]: 1 where an image is, for models whose image tokens see each other.

    Empty for the others.
    """
    if "token_type_ids" not in signature(model.forward).parameters:
        return {}
    return {"token_type_ids": (ids == model.config.image_token_id).long()}
