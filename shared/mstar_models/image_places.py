"""Where images stand among a prompt's tokens, and so which of them an engine with a prefix cache has to encode."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mstar.errors import InvalidInput
from mstar_models.encoding import PromptEncoder
from mstar_models.probing import QUESTION, picture
from mstar_models.remote_loading import read_config

_NAMES = ("image_token_id", "image_token_index", "vision_token_id")


def image_token(folder: Path) -> int | None:
    """The id that stands for a piece of an image. Phi-3.5-vision has none: its images are negative ids."""
    config = read_config(folder)
    return next((value for name in _NAMES if (value := getattr(config, name, None)) is not None), None)


def image_tokens(ids: Sequence[int], token: int | None) -> list[int]:
    """Places of the ids that stand for pieces of images."""
    return [place for place, one in enumerate(ids) if one == token or one < 0]


def require_image_places(folder: Path, ids: Sequence[int]) -> None:
    """Raises InvalidInput for the prompt of a picture in which the model would look for it in vain."""
    token = image_token(folder)
    # A family without such a token finds its images otherwise.
    if token is not None and not image_tokens(ids, token):
        raise InvalidInput(
            f"model folder {folder.name} marks a picture by other tokens than the {token} that config.json names "
            f"({' or '.join(_NAMES)}): take config.json, tokenizer and processor from one model",
            field="model",
        )


def require_marked_images(folder: Path, processor: Any) -> None:
    """`require_image_places` of a question about a picture. Raises InvalidInput, also for one that cannot be made."""
    require_image_places(folder, PromptEncoder(processor).encode(QUESTION, [picture("wide")]).input_ids)


def images_encoded(ids: Sequence[int], token: int | None, images: int, cached: int) -> list[int]:
    """Which of a prompt's images, counted from 0, an engine encodes that has the first `cached` ids in its cache.

    Those that begin after them. One that only ends after them was encoded for its beginning a moment ago, and vLLM
    keeps what the vision tower gave.
    """
    return [number for number, start in enumerate(_starts(ids, token, images)) if start >= cached]


def _starts(ids: Sequence[int], token: int | None, images: int) -> list[int]:
    places = image_tokens(ids, token)
    runs = [place for before, place in zip([-2, *places], places, strict=False) if place != before + 1]
    if len(runs) == images:
        return runs
    # A family that marks the rows of an image has more runs than images, one without marks fewer: each has its share.
    return [places[number * len(places) // images] if places else 0 for number in range(images)]
