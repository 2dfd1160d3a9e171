"""The tiny base model: an Idefics3 of 1.3 million parameters, made from a configuration like any other.

Nothing in the services knows it: they load it from its folder as they load a model a thousand times its size.
"""

from typing import Any

from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

from minivista.canvas import PATCH, SIDE
from minivista.tokenizer import IMAGE, make_tokenizer

SHUFFLE = 2
"""Pixel shuffle: 2 x 2 patches become one image token, so a picture is 16 tokens."""


def make_processor() -> Any:
    """Image processor, tokenizer and chat template of the base model."""
    images = Idefics3ImageProcessorPil(
        do_image_splitting=False,
        do_resize=True,
        size={"longest_edge": SIDE},
        max_image_size={"longest_edge": SIDE},
    )
    tokenizer = make_tokenizer()
    tokens = (SIDE // PATCH // SHUFFLE) ** 2
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
    text = {
        "model_type": "llama",
        "hidden_size": 128,
        "intermediate_size": 320,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 512,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": True,
    }
    config = Idefics3Config(
        vision_config=vision,
        text_config=text,
        scale_factor=SHUFFLE,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    model = Idefics3ForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model
