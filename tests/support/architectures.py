"""Vision-language architectures of a few thousand random weights.

Four are for what must hold on every one; the others see ahead.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)

from minivista.architecture import make_model, make_processor
from mstar_models.encoding import EncodedPrompt, PromptEncoder

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


class MadeUpPrompts(PromptEncoder):
    """The tokenizer of the small model, with the same prompt for every question and pixels drawn by the image."""

    def __init__(self, ids: list[int], draw: Callable[[torch.Generator], dict[str, torch.Tensor]]) -> None:
        super().__init__(make_processor())
        self._ids = ids
        self._draw = draw

    def encode(self, question: str, images: Sequence[Image.Image], system: str = "") -> EncodedPrompt:
        (image,) = images
        pixels = self._draw(torch.Generator().manual_seed(zlib.crc32(image.tobytes())))
        return EncodedPrompt(self._ids, pixels, images=1)


def idefics3() -> tuple[Any, PromptEncoder]:
    processor = make_processor()
    return make_model(processor.tokenizer), PromptEncoder(processor)


def llava(**text: Any) -> tuple[Any, PromptEncoder]:
    """`text`: of its language model, beside what all have."""
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
        text_config=TEXT | {"model_type": "llama"} | text,
        image_token_id=IMAGE_TOKEN,
        vision_feature_layer=-1,
    )
    prompts = MadeUpPrompts(
        [5, 6, *[IMAGE_TOKEN] * 16, 7, 8], lambda draw: {"pixel_values": torch.randn(1, 3, 32, 32, generator=draw)}
    )
    return LlavaForConditionalGeneration(config), prompts


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

    def draw(generator: torch.Generator) -> dict[str, torch.Tensor]:
        patches = torch.randn(16, 3 * 2 * 4 * 4, generator=generator)
        return {"pixel_values": patches, "image_grid_thw": torch.tensor([[1, 4, 4]])}

    prompts = MadeUpPrompts([5, 6, 491, *[IMAGE_TOKEN] * 4, 492, 7, 8], draw)
    return Qwen2VLForConditionalGeneration(config), prompts


def latent() -> tuple[Any, PromptEncoder]:
    """Keys and values of different widths."""
    widths = {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 12}
    return llava(model_type="deepseek_v3", first_k_dense_replace=2, num_key_value_heads=4, **widths)


ARCHITECTURES = [idefics3, llava, qwen2_vl, latent]
SIGLIP = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}


def gemma3() -> Any:
    """Tokens of an image see each other in both directions, and most layers see a window."""
    config = Gemma3Config(vision_config=SIGLIP, text_config=TEXT | {"head_dim": 16}, mm_tokens_per_image=16)
    return Gemma3ForConditionalGeneration(config)


def paligemma() -> Any:
    """Tokens of the prompt see each other in both directions."""
    text = TEXT | {"model_type": "gemma", "head_dim": 16}
    return PaliGemmaForConditionalGeneration(
        PaliGemmaConfig(vision_config=SIGLIP | {"projection_dim": 64}, text_config=text)
    )


def plain_inputs(prompt: EncodedPrompt, tokens: list[int]) -> dict[str, Any]:
    """Arguments of the model's own forward pass for one prompt and response."""
    whole = torch.tensor([[*prompt.input_ids, *tokens]])
    kinds = {"mm_token_type_ids": (whole == IMAGE_TOKEN).int()} if "image_grid_thw" in prompt.pixels else {}
    return {"input_ids": whole, **prompt.pixels, **kinds}
