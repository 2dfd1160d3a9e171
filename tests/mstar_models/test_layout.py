"""Trees and separate sequences of one model give the same hidden states at every step's end."""

from typing import Any

import pytest
import torch

from architectures import IMAGE_TOKEN, gemma3, llava, paligemma
from mstar_models.encoding import EncodedPrompt
from mstar_models.layout import SequenceLayout
from mstar_models.trunk import run_trunk

RESPONSES = [[(10, 11, 12), (13,) * 9], [(10, 11, 12), (14, 15)], [(16,)]]
PROMPT = [5, 6, *[IMAGE_TOKEN] * 16, 7, 8]


def picture_prompt() -> EncodedPrompt:
    torch.manual_seed(1)
    return EncodedPrompt(PROMPT, {"pixel_values": torch.randn(1, 3, 32, 32)})


def hidden(layout: SequenceLayout, prompt: EncodedPrompt, budget: int) -> list[torch.Tensor]:
    """For each response the states at the ends of its pieces, [pieces, D]."""
    rows = [layout.start(prompt)]
    for pieces in RESPONSES:
        if not layout.takes(rows[-1], pieces, budget):
            rows.append(layout.another(rows[-1]))
        rows[-1].add(pieces)
    with torch.inference_mode():
        states = run_trunk(layout.model, **layout.inputs([(prompt, row) for row in rows])).last_hidden_state
    return [states[place, ends] for place, row in enumerate(rows) for ends in row.ends]


def loud(model: Any) -> Any:
    """Larger weights, so that what a token says depends on all that it sees."""
    torch.manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight) * 0.2 if weight.dim() > 1 else torch.ones_like(weight))
    return model.eval()


@pytest.mark.parametrize(
    "text",
    [
        {},
        {"model_type": "mistral", "sliding_window": 7},
        {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1},
        {"model_type": "cohere2", "sliding_window": 7, "layer_types": ["sliding_attention", "full_attention"]},
        {
            "model_type": "deepseek_v3",
            "kv_lora_rank": 16,
            "q_lora_rank": None,
            "first_k_dense_replace": 2,
            "num_key_value_heads": 4,
        },
    ],
    ids=lambda text: text.get("model_type", "llama"),
)
def test_a_tree_is_its_separate_sequences(text: dict[str, Any]) -> None:
    model = loud(llava(**text)[0])
    tree = SequenceLayout(model)
    assert tree.packs
    apart = SequenceLayout(model)
    apart.packs = False
    found, expected = hidden(tree, picture_prompt(), 1000), hidden(apart, picture_prompt(), 1000)
    for ends, pieces, one, other in zip(found, RESPONSES, found, expected, strict=True):
        assert len(ends) == len(pieces)
        assert torch.allclose(one, other, atol=2e-5)


def test_a_window_is_felt() -> None:
    """Without it, the same weights say something else: the test above compares what it should."""
    narrow, wide = (
        hidden(SequenceLayout(loud(llava(model_type="mistral", sliding_window=window)[0])), picture_prompt(), 1000)
        for window in (7, None)
    )
    assert not torch.allclose(narrow[0], wide[0], atol=1e-3)


@pytest.mark.parametrize("text", [{}, {"model_type": "mistral", "sliding_window": 7}], ids=["full", "window"])
def test_a_tree_that_is_full_begins_another_one(text: dict[str, Any]) -> None:
    model = loud(llava(**text)[0])
    found = hidden(SequenceLayout(model), picture_prompt(), len(PROMPT) + 14)
    for one, other in zip(found, hidden(SequenceLayout(model), picture_prompt(), 1000), strict=True):
        assert torch.allclose(one, other, atol=2e-5)


def test_only_images_or_the_whole_prompt_look_ahead() -> None:
    prompt = EncodedPrompt([5, *[IMAGE_TOKEN] * 3, 6, *[IMAGE_TOKEN] * 2, 7])
    seen = {}
    for make in (gemma3, paligemma):
        model = make()
        model.config.image_token_id = IMAGE_TOKEN
        layout = SequenceLayout(model)
        row = layout.start(prompt)
        row.add([(10, 11)])
        seen[make.__name__] = layout.inputs([(prompt, row)])["spans"][0, 0].tolist()
    assert seen["gemma3"] == [0, 1, 1, 1, 4, 5, 5, 7, 8, 9]
    assert seen["paligemma"] == [0] * 8 + [8, 9]
