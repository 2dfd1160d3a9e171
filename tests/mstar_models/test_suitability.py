"""What is known of an architecture's attention from its configuration."""

from collections.abc import Callable
from typing import Any

import pytest
from transformers import Florence2Config, Florence2ForConditionalGeneration

from architectures import ARCHITECTURES, gemma3, llava, paligemma, qwen2_vl
from mstar.errors import InvalidInput
from mstar_models.encoding import PromptEncoder
from mstar_models.suitability import packing_obstacle, require_decoder, row_cache_obstacle, windows


@pytest.mark.parametrize("make", ARCHITECTURES, ids=lambda make: make.__name__)
def test_plain_causal_attention_takes_trees_and_rows_of_any_length(
    make: Callable[[], tuple[Any, PromptEncoder]],
) -> None:
    model, _ = make()
    assert (packing_obstacle(model), row_cache_obstacle(model)) == (None, None)


@pytest.mark.parametrize("make", [gemma3, paligemma], ids=lambda make: make.__name__)
def test_blocks_that_see_themselves_are_packed_where_a_family_declares_them(make: Callable[[], Any]) -> None:
    model = make()
    assert packing_obstacle(model) is None
    model.config.model_type = "unheard_of"
    assert packing_obstacle(model) == "tokens of its prompt or image see later ones"


SLIDING: list[tuple[dict[str, Any], int | None]] = [
    ({"model_type": "mistral", "sliding_window": 255}, 255),
    ({"model_type": "mistral", "sliding_window": 256}, None),
    ({"model_type": "mistral", "sliding_window": None}, None),
    ({"model_type": "qwen2", "use_sliding_window": False, "sliding_window": 64}, None),
    ({"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 64, "max_window_layers": 2}, None),
    ({"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 64, "max_window_layers": 1}, 64),
    ({"model_type": "cohere2", "sliding_window": 64}, 64),
]


@pytest.mark.parametrize(("text", "window"), SLIDING)
def test_a_window_shorter_than_the_context_is_in_the_mask_of_a_tree(text: dict[str, Any], window: int | None) -> None:
    model, _ = llava(**text)
    assert packing_obstacle(model) is None
    assert set(windows(model).values()) == ({window} if window else set())
    assert row_cache_obstacle(model) == ("some layers see a window only" if window else None)


def test_windows_that_do_not_count_places_take_no_trees() -> None:
    model, _ = qwen2_vl()
    model.config.text_config.layer_types = ["sliding_attention", "full_attention"]
    model.config.text_config.sliding_window = 64
    assert packing_obstacle(model) == "some layers see a window only"


def test_layers_with_a_running_state_share_nothing() -> None:
    model, _ = llava(model_type="qwen3_next", layer_types=["linear_attention", "full_attention"])
    assert packing_obstacle(model) == "it has layers of kind linear_attention"
    assert row_cache_obstacle(model) == "its layers of kind linear_attention keep no keys and values"


def test_layers_of_a_kind_that_nobody_knows_share_nothing() -> None:
    model, _ = llava()
    model.config.text_config.layer_types = ["indexed_attention", "full_attention"]
    assert packing_obstacle(model) == "it has layers of kind indexed_attention"
    assert row_cache_obstacle(model) == "what its layers of kind indexed_attention keep is not known"


def test_latent_attention_is_causal_attention() -> None:
    model, _ = llava(model_type="deepseek_v3", kv_lora_rank=16)
    assert (packing_obstacle(model), row_cache_obstacle(model)) == (None, None)


def test_an_encoder_for_the_prompt_is_refused_in_one_sentence() -> None:
    vision = {"embed_dim": [8] * 4, "num_heads": [1] * 4, "num_groups": [1] * 4, "depths": [1] * 4}
    text = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": 60, "encoder_ffn_dim": 16}
    model = Florence2ForConditionalGeneration(
        Florence2Config(vision_config=vision | {"projection_dim": 16}, text_config=text, image_token_id=50)
    )
    with pytest.raises(InvalidInput, match="of type florence2 have an encoder for the prompt") as refused:
        require_decoder(model.config)
    assert refused.value.field == "model"


def test_a_response_that_sees_ahead_is_refused() -> None:
    require_decoder(paligemma().config)
    model = gemma3()
    require_decoder(model.config)
    model.config.text_config.use_bidirectional_attention = True
    with pytest.raises(InvalidInput, match="lets every token see all others"):
        require_decoder(model.config)
