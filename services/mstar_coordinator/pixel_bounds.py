"""Writes a recipe's pixel bounds into a copied model folder, where every processor reads them: ours and vLLM's own.

The run's checkpoints and exports carry the files along, so that a published model sees pictures as it was trained.
Models that cut pictures by number of pixels have such bounds; others have sides or tiles, and take none.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mstar.errors import InvalidInput
from mstar.image_scaling import HIGH, LOW, MAX, MIN, Kind, bounds_of, kind_of
from mstar.model_folder import read_json
from mstar.recipes import ModelRecipe

FILES = ("preprocessor_config.json", "processor_config.json")
PART = "image_processor"
"""Section of `processor_config.json` that newer folders keep the settings in."""


def takes_bounds(folder: Path) -> bool:
    """Whether the folder's image processor has pixel bounds."""
    return any(kind_of(settings) for settings in _settings(folder).values())


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
        if (kind := kind_of(settings)) is not None:
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
        if (kind := kind_of(part)) is not None:
            bounded = _bounded(part, kind, model)
            text = json.dumps(bounded if PART not in whole else whole | {PART: bounded}, indent=2)
            (folder / name).write_text(text, encoding="utf-8")


def _settings(folder: Path) -> dict[str, Mapping[str, Any]]:
    found = {name: read_json(folder, name) for name in FILES if (folder / name).is_file()}
    return {name: whole.get(PART, whole) for name, whole in found.items()}


def _bounded(settings: Mapping[str, Any], kind: Kind, model: ModelRecipe) -> dict[str, Any]:
    """The settings with the recipe's bounds, and their own where the recipe has none."""
    low, high = bounds_of(settings, kind, model.min_pixels, model.max_pixels)
    if low > high:
        field, other = (MAX, MIN) if model.max_pixels is not None else (MIN, MAX)
        raise InvalidInput(
            f"model.{field}: with the model's own bound this leaves {low // kind.frames} to {high // kind.frames} "
            f"pixels: set model.{other} too",
            field=f"model.{field}",
        )
    # Where the older names are there, they count before `size`.
    older = {MIN: low, MAX: high} if settings.keys() & {MIN, MAX} else {}
    size = settings.get("size")
    size = dict(size) if isinstance(size, Mapping) else {}
    return dict(settings) | older | {"size": size | {LOW: low, HIGH: high}}
