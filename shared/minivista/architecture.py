"""The tiny base model: an Idefics3 of 1.1 million parameters, made from a configuration like any other.

Nothing in the services knows it: they load it from its folder as they load a model a thousand times its size.
"""

from collections.abc import Sequence
from typing import Any

from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

from minivista.canvas import PATCH, SIDE
from minivista.tokenizer import IMAGE, WORDS, make_tokenizer

SHUFFLE = 2
"""Pixel shuffle: 2 x 2 patches become one image token, so a picture is 16 tokens."""


def make_processor(side: int = SIDE, words: Sequence[str] = WORDS) -> Any:
    """Image processor, tokenizer and chat template of a base model for pictures of this side and these words."""
    images = Idefics3ImageProcessorPil(
        # One tile a picture, so that its image tokens are its cells.
        do_image_splitting=False,
        do_resize=True,
        size={"longest_edge": side},
        max_image_size={"longest_edge": side},
    )
    tokenizer = make_tokenizer(words)
    # 64 / 8 / 2 = 4 tokens a side.
    tokens = (side // PATCH // SHUFFLE) ** 2
    return Idefics3Processor(
        image_processor=images, tokenizer=tokenizer, image_seq_len=tokens, chat_template=tokenizer.chat_template
    )


def make_model(tokenizer: Any) -> Any:
    """Random weights; seed torch first."""
    vision = {
        "hidden_size": 96,
        "intermediate_size": 256,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": SIDE,
        "patch_size": PATCH,
    }
    text = text_config(tokenizer, hidden=128, intermediate=320, layers=4)
    return build(vision, text, tokenizer)


def text_config(tokenizer: Any, *, hidden: int, intermediate: int, layers: int) -> dict[str, Any]:
    """A language model of Llama's kind for this tokenizer."""
    return {
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        # Fewer than query heads, as in large models: tests meet grouped-query attention.
        "num_key_value_heads": 2,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 512,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": True,
    }


def build(vision: dict[str, Any], text: dict[str, Any], tokenizer: Any) -> Any:
    """An Idefics3 of these two parts, with random weights."""
    config = Idefics3Config(
        vision_config=vision,
        text_config=text,
        scale_factor=SHUFFLE,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    model = Idefics3ForConditionalGeneration(config)
    # Saved with the folder: engines end a response where generation_config.json says so.
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model
