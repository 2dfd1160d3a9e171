"""Writes a recipe's pixel bounds into a copied model folder, where every processor reads them: ours and vLLM's own.

The run's checkpoints and exports carry the files along, so that a published model sees pictures as it was trained.
Models that cut pictures by number of pixels have such bounds; others have sides or tiles, and take none.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mstar.errors import InvalidInput
from mstar.model_folder import read_json
from mstar.recipes import ModelRecipe

FILES = ("preprocessor_config.json", "processor_config.json")
PART = "image_processor"
"""Section of `processor_config.json` that newer folders keep the settings in."""
LOW, HIGH = "shortest_edge", "longest_edge"
"""What transformers calls the least and the most number of pixels in `size`, though neither is an edge."""
MIN, MAX = "min_pixels", "max_pixels"
"""The same where Qwen's older folders have them, which then count before `size`."""


@dataclass(frozen=True)
class _Kind:
    """Image processors that scale a picture to a number of pixels."""

    prefix: str
    """How the names of their classes begin."""
    low: int
    """Least pixels where a folder says nothing."""
    high: int
    frames: int = 1
    """By how much `size` is more than the pixels of a picture: GLM counts a picture as a video of two frames."""


KINDS = (
    _Kind("Qwen2VL", 56 * 56, 28 * 28 * 1280),
    _Kind("Glm4v", 112 * 112, 28 * 28 * 15_000, frames=2),
    _Kind("Glm46V", 112 * 112, 28 * 28 * 15_000, frames=2),
    _Kind("PaddleOCRVL", 384 * 384, 1536 * 1536),
    _Kind("VideoLlama3", 56 * 56, 28 * 28 * 1280),
)
"""Qwen2.5-VL to Qwen3.5 have Qwen2-VL's, GLM-4.5V has GLM-4.1V's, and GLM-OCR has GLM-4.6V's."""


def takes_bounds(folder: Path) -> bool:
    """Whether the folder's image processor has pixel bounds."""
    return any(_kind(settings) for settings in _settings(folder).values())


def require_bounds(folder: Path, model: ModelRecipe, field: str) -> None:
    """Raises InvalidInput for bounds that the folder's processor does not take, or that leave nothing between them."""
    if model.min_pixels is None and model.max_pixels is None:
        return
    if not takes_bounds(folder):
        named = "min_pixels" if model.max_pixels is None else "max_pixels"
        raise InvalidInput(
            f"model.{named}: the image processor of {field} {folder.name[:64]!r} scales pictures by sides or tiles and "
            "not to a number of pixels: leave it out, or take a model such as Qwen2.5-VL",
            field=f"model.{named}",
        )
    for settings in _settings(folder).values():
        # Only for the error that it raises.
        if (kind := _kind(settings)) is not None:
            _bounded(settings, kind, model)


def write_bounds(folder: Path, model: ModelRecipe) -> None:
    """Put the bounds into a copied folder; one whose processor takes none stays as it is. Raises InvalidInput."""
    if model.min_pixels is None and model.max_pixels is None:
        return
    for name in FILES:
        if not (folder / name).is_file():
            continue
        whole = read_json(folder, name)
        part = whole.get(PART, whole)
        if (kind := _kind(part)) is not None:
            bounded = _bounded(part, kind, model)
            text = json.dumps(bounded if PART not in whole else whole | {PART: bounded}, indent=2)
            (folder / name).write_text(text, encoding="utf-8")


def _settings(folder: Path) -> dict[str, Mapping[str, Any]]:
    found = {name: read_json(folder, name) for name in FILES if (folder / name).is_file()}
    return {name: whole.get(PART, whole) for name, whole in found.items()}


def _kind(settings: Any) -> _Kind | None:
    named = str(settings.get("image_processor_type", "")) if isinstance(settings, Mapping) else ""
    return next((kind for kind in KINDS if named.startswith(kind.prefix)), None)


def _bounded(settings: Mapping[str, Any], kind: _Kind, model: ModelRecipe) -> dict[str, Any]:
    """The settings with the recipe's bounds, and their own where the recipe has none."""
    size = settings.get("size")
    size = dict(size) if isinstance(size, Mapping) else {}
    own_low = _number(settings.get(MIN)) or _number(size.get(LOW)) or kind.low
    own_high = _number(settings.get(MAX)) or _number(size.get(HIGH)) or kind.high
    low = own_low if model.min_pixels is None else kind.frames * model.min_pixels
    high = own_high if model.max_pixels is None else kind.frames * model.max_pixels
    if low > high:
        field, other = (MAX, MIN) if model.max_pixels is not None else (MIN, MAX)
        raise InvalidInput(
            f"model.{field}: with the model's own bound this leaves {low // kind.frames} to {high // kind.frames} "
            f"pixels: set model.{other} too",
            field=f"model.{field}",
        )
    # Where the older names are there, they count before `size`.
    older = {MIN: low, MAX: high} if settings.keys() & {MIN, MAX} else {}
    return dict(settings) | older | {"size": size | {LOW: low, HIGH: high}}


def _number(value: Any) -> int | None:
    return value if type(value) is int else None
