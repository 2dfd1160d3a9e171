"""Scores are those of one full forward pass for each response, on three architectures with random weights."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)

from minivista.architecture import make_model, make_processor
from mstar.errors import TooLarge
from mstar_models.encoding import EncodedPrompt, PromptEncoder, encode_segments
from mstar_models.labels import label_token_ids
from mstar_prm.hf_scorer import HfScorer, _Served

RESPONSES = (
    ("A is 3", "Sum: 3 + 4 = 7", "## Answer\n\n7"),
    ("A is 3", "Sum: 3 + 4 = 8", "## Answer\n\n8"),
    ("A is 3", "Sum: 3 + 4 = 7", "## Answer\n\n7"),
    ("It looks like 7", "## Answer\n\n7"),
    ("## Answer\n\n7",),
)


class _FixedPrompt(PromptEncoder):
    """The tokenizer of the small model, with a prompt made for another architecture."""

    def __init__(self, prompt: EncodedPrompt) -> None:
        super().__init__(make_processor())
        self.prompt = prompt

    def encode(self, question: str, image: Image.Image, reference_answer: str | None = None) -> EncodedPrompt:
        return self.prompt


def idefics3() -> tuple[Any, PromptEncoder]:
    processor = make_processor()
    return make_model(processor.tokenizer), PromptEncoder(processor)


TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 500,
    "max_position_embeddings": 256,
}
IMAGE_TOKEN = 490


def llava() -> tuple[Any, PromptEncoder]:
    vision = {
        "model_type": "clip_vision_model",
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
        "projection_dim": 32,
    }
    config = LlavaConfig(
        vision_config=vision,
        text_config=TEXT | {"model_type": "llama"},
        image_token_id=IMAGE_TOKEN,
        vision_feature_layer=-1,
    )
    ids = [5, 6, *[IMAGE_TOKEN] * 16, 7, 8]
    prompt = EncodedPrompt(ids, {"pixel_values": torch.randn(1, 3, 32, 32)})
    return LlavaForConditionalGeneration(config), _FixedPrompt(prompt)


def qwen2_vl() -> tuple[Any, PromptEncoder]:
    """Positions on three axes (M-RoPE)."""
    vision = {"depth": 2, "embed_dim": 32, "num_heads": 2, "hidden_size": 64, "patch_size": 4, "mlp_ratio": 2}
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    config = Qwen2VLConfig(
        vision_config=vision,
        text_config=TEXT | {"rope_parameters": rope},
        image_token_id=IMAGE_TOKEN,
        vision_start_token_id=491,
        vision_end_token_id=492,
    )
    ids = [5, 6, 491, *[IMAGE_TOKEN] * 4, 492, 7, 8]
    pixels = {"pixel_values": torch.randn(16, 3 * 2 * 4 * 4), "image_grid_thw": torch.tensor([[1, 4, 4]])}
    return Qwen2VLForConditionalGeneration(config), _FixedPrompt(EncodedPrompt(ids, pixels))


@pytest.fixture(params=[idefics3, llava, qwen2_vl], ids=lambda make: make.__name__)
def served(request: pytest.FixtureRequest) -> _Served:
    torch.manual_seed(3)
    make: Callable[[], tuple[Any, PromptEncoder]] = request.param
    model, prompts = make()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4 if weight.dim() > 1 else 1)
    labels = label_token_ids(prompts.processor.tokenizer)
    return _Served("v@1", "v", model.eval(), prompts, labels, context=256)


def one_by_one(served: _Served, image: Image.Image) -> list[list[float]]:
    """A whole forward pass for each response, by the model's own means."""
    found = []
    prompt = served.prompts.encode("How many?", image)
    for response in RESPONSES:
        ids, ends = encode_segments(served.prompts.processor.tokenizer, response)
        whole = torch.tensor([[*prompt.input_ids, *ids]])
        kinds = {"mm_token_type_ids": (whole == IMAGE_TOKEN).int()} if "image_grid_thw" in prompt.pixels else {}
        with torch.inference_mode():
            logits = served.model(input_ids=whole, **prompt.pixels, **kinds).logits[0]
        pair = logits[[len(prompt.input_ids) + end for end in ends]][:, list(served.labels)]
        found.append(pair.softmax(-1)[:, 0].tolist())
    return found


@pytest.mark.parametrize("batch_tokens", [4096, 60])
def test_scores_equal_full_forward_passes(served: _Served, batch_tokens: int, tmp_path: Any) -> None:
    scorer = HfScorer(tmp_path, batch_tokens=batch_tokens, waiting_tokens=100_000)
    scorer._served = served
    image = Image.new("RGB", (64, 64), (10, 120, 200))

    async def ask() -> list[tuple[float, ...]]:
        try:
            return (await scorer.score("How many?", image, RESPONSES, None))[1]
        finally:
            await scorer.close()

    scores, expected = asyncio.run(ask()), one_by_one(served, image)
    assert len({round(value, 3) for row in expected for value in row}) > 5
    for row, reference in zip(scores, expected, strict=True):
        assert row == pytest.approx(reference, abs=1e-5)
    if batch_tokens == 4096:
        prompt = len(served.prompts.encode("How many?", image).input_ids)
        own = [len(encode_segments(served.prompts.processor.tokenizer, one)[0]) for one in RESPONSES]
        assert scorer.work.images == 1
        assert scorer.work.tokens < prompt + sum(own) - own[2] - 3


def test_more_than_could_ever_wait_is_refused_for_good(tmp_path: Any) -> None:
    torch.manual_seed(3)
    model, prompts = idefics3()
    scorer = HfScorer(tmp_path, batch_tokens=64, waiting_tokens=100)
    scorer._served = _Served(
        "v@1", "v", model.eval(), prompts, label_token_ids(prompts.processor.tokenizer), context=256
    )
    many = [("A is 3", f"Sum: 3 + 4 = {place}") for place in range(40)]

    async def ask() -> None:
        try:
            await scorer.score("How many?", Image.new("RGB", (64, 64)), many, None)
        finally:
            await scorer.close()

    with pytest.raises(TooLarge, match="at most 100 fit in a request"):
        asyncio.run(ask())
