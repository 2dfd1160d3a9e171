"""Which architectures are taken, and that the others are refused with a reason."""

from collections.abc import Callable
from typing import Any

import pytest

from architectures import ARCHITECTURES, gemma3, llava, paligemma
from mstar.errors import InvalidInput
from mstar_models.encoding import PromptEncoder
from mstar_models.suitability import require_cached_decoding, require_plain_causal


@pytest.mark.parametrize("make", ARCHITECTURES, ids=lambda make: make.__name__)
def test_models_with_plain_causal_attention_can_be_packed(make: Callable[[], tuple[Any, PromptEncoder]]) -> None:
    require_plain_causal(make()[0])


@pytest.mark.parametrize("make", [gemma3, paligemma], ids=lambda make: make.__name__)
def test_models_that_look_ahead_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(InvalidInput, match=f"of type {make.__name__} .* see those behind them; take one") as refused:
        require_plain_causal(make())
    assert refused.value.field == "model"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ({"model_type": "mistral", "sliding_window": 255}, "some layers see 255 tokens only; set max_position"),
        ({"model_type": "mistral", "sliding_window": 256}, None),
        ({"model_type": "mistral", "sliding_window": None}, None),
        ({"model_type": "qwen2", "use_sliding_window": False, "sliding_window": 64}, None),
        ({"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 64, "max_window_layers": 2}, None),
        ({"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 64, "max_window_layers": 1}, "see 64"),
        ({"model_type": "cohere2", "sliding_window": 64}, "see 64"),
        ({"model_type": "qwen3_next", "layer_types": ["linear_attention", "full_attention"]}, "kind linear_attention"),
    ],
)
def test_a_window_must_hold_the_context_and_no_layer_may_remember(text: dict[str, Any], reason: str | None) -> None:
    model, _ = llava(**text)
    if reason is None:
        return require_plain_causal(model)
    with pytest.raises(InvalidInput, match=reason):
        require_plain_causal(model)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ({}, None),
        ({"model_type": "mistral", "sliding_window": 64}, None),
        (
            {"model_type": "qwen3_next", "layer_types": ["linear_attention", "full_attention"]},
            "keep no keys and values",
        ),
        ({"model_type": "deepseek_v3", "kv_lora_rank": 16}, "different widths"),
    ],
)
def test_layers_without_keys_of_one_width_are_not_sampled_from(text: dict[str, Any], reason: str | None) -> None:
    model, _ = llava(**text)
    if reason is None:
        return require_cached_decoding(model)
    with pytest.raises(InvalidInput, match=f"of type llava cannot be sampled .* {reason}.*; set MSTAR_POLICY_ENGINE"):
        require_cached_decoding(model)
