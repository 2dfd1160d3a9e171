"""The study's base model: an Idefics3 of 0.27 million parameters, so that a whole run takes minutes on one core."""

from typing import Any

from minivista.architecture import build, text_config
from minivista.architecture import make_processor as make_any_processor
from minivista.canvas import PATCH
from minivista.study.scenes import SIDE

WORDS = tuple(
    "What is shows has gives makes leave Read the picture Reference answer Answer User Assistant".split()  # noqa: SIM905
)
"""What questions, chains and prompts are written with; other words fall apart into letters."""


def make_processor() -> Any:
    """Image processor, tokenizer and chat template: a picture is nine image tokens, one for each cell."""
    return make_any_processor(SIDE, WORDS)


HIDDEN, LAYERS = 64, 3


def make_model(tokenizer: Any, hidden: int = HIDDEN, layers: int = LAYERS) -> Any:
    """Random weights; seed torch first. Width and depth are the language model's."""
    vision = {
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": SIDE,
        "patch_size": PATCH,
    }
    return build(vision, text_config(tokenizer, hidden=hidden, intermediate=3 * hidden, layers=layers), tokenizer)
