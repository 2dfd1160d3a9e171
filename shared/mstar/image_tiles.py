"""How many tiles a model's processor cuts a picture into, each of which takes a picture's tokens in the prompt.

Read from the processor's settings, since a plan is made without loading it, and for one picture. Families
choose differently: Idefics3 and SmolVLM scale every picture up to one size, InternVL goes by the ratio of its sides,
LLaVA-NeXT and LLaVA-OneVision by listed sizes.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any

from mstar.image_scaling import MIDDLING, PlannedImage

_ALWAYS_CUT = {"internvl"}
"""Types of models whose processor cuts by ratio where its settings do not say."""
_MOST_LISTED = 9
"""Tiles that LLaVA-OneVision keeps at most; LLaVA-NeXT lists none larger."""


def tiles(
    model_type: str, config: Mapping[str, Any], processor: Mapping[str, Any], picture: PlannedImage = MIDDLING
) -> float:
    """Tiles of the picture with the small whole one beside them; 1 where it is taken as it is.

    `processor`: the settings of the image processor. A tile that is half padding counts half, where a family takes the
    padding out.
    """
    grid = processor.get("image_grid_pinpoints") or config.get("image_grid_pinpoints")
    if isinstance(grid, Sequence) and grid:
        return _listed(config, grid, picture)
    if processor.get("crop_to_patches", model_type in _ALWAYS_CUT) is True:
        return _by_ratio(processor, picture)
    if processor.get("do_image_splitting", isinstance(processor.get("max_image_size"), Mapping)) is not True:
        return 1
    tile = _edge(processor.get("max_image_size"))
    # Idefics2 has no size of its own for tiles: it cuts into quarters.
    return _scaled_up(processor, tile, picture) if tile else 5


def _scaled_up(processor: Mapping[str, Any], tile: int, picture: PlannedImage) -> int:
    width, height = picture[:2]
    longest = _edge(processor.get("size")) or 4 * tile
    columns, rows = (ceil(longest * side / max(width, height) / tile) for side in (width, height))
    return columns * rows + 1 if columns * rows > 1 else 1


def _by_ratio(processor: Mapping[str, Any], picture: PlannedImage) -> int:
    width, height = picture[:2]
    most, side = min(_number(processor.get("max_patches")) or 12, 64), _side(processor.get("size")) or 448
    grids = [(i, j) for i in range(1, most + 1) for j in range(1, most // i + 1)]
    least = min(abs(i / j - width / height) for i, j in grids)
    # Of grids as near to the picture's ratio as each other the largest that is not over twice the picture, or the
    # smallest of all.
    sizes = sorted(i * j for i, j in grids if abs(i / j - width / height) == least)
    many = max((one for one in sizes if one * side**2 < 2 * width * height), default=sizes[0])
    return many + 1 if many > 1 else 1


def _listed(config: Mapping[str, Any], grid: Sequence[Sequence[int]], picture: PlannedImage) -> float:
    width, height = picture[:2]
    size = _number(_section(config, "vision_config").get("image_size"))
    if size is None:
        return 1

    def shown(one: Sequence[int]) -> tuple[int, int]:
        """Pixels of the picture that a listed size of (height, width) keeps, and less what it leaves empty."""
        scale = min(one[1] / width, one[0] / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, kept - one[0] * one[1]

    best = max(_pairs(grid), key=shown, default=(size, size))
    scale = min(best[1] / width, best[0] / height)
    return 1 + min(_MOST_LISTED, width * height * scale**2 / size**2)


def _pairs(grid: Sequence[Any]) -> Iterator[Sequence[int]]:
    return (one for one in grid if isinstance(one, Sequence) and len(one) == 2 and all(map(_number, one)))


def _edge(size: Any) -> int | None:
    return _number(size.get("longest_edge")) if isinstance(size, Mapping) else None


def _side(size: Any) -> int | None:
    return _number(size.get("height")) if isinstance(size, Mapping) else None


def _number(value: Any) -> int | None:
    return value if type(value) is int and 0 < value < 100_000 else None


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}
