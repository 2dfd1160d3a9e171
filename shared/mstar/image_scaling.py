"""Tokens of a picture for models that have no tower of one size: computed as their image processors do.

Qwen's and GLM's kinds scale a picture to a number of pixels, which a recipe can bound; MiniCPM-V 4.6 and 4.7 cut it
into slices of near one size. What this leaves out: towers of one size and their tiles (`image_tiles`), and writing
bounds into a folder.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, floor, inf, log, sqrt
from typing import Any, NamedTuple

LOW, HIGH = "shortest_edge", "longest_edge"
"""What transformers calls the least and the most number of pixels in `size`, though neither is an edge."""
MIN, MAX = "min_pixels", "max_pixels"
"""The same where Qwen's older folders have them, which then count before `size`."""
_SLICED = "MiniCPMV4_"
"""How the names of MiniCPM's image processors begin."""
_MERGED = 4
"""Patches a side that become one of its tokens."""


class PlannedImage(NamedTuple):
    """The picture that a plan is made for, and a recipe's bounds on its pixels."""

    width: int = 1024
    height: int = 768
    min_pixels: int | None = None
    max_pixels: int | None = None


MIDDLING = PlannedImage()
"""A picture of middling size, without bounds."""


class ImageSize(NamedTuple):
    """What a model makes of a picture."""

    tokens: int
    patches: int


@dataclass(frozen=True)
class Kind:
    """Image processors that scale a picture to a number of pixels. The numbers count where a folder says nothing."""

    prefix: str
    """How the names of their classes begin."""
    low: int
    """Least pixels."""
    high: int
    frames: int = 1
    """By how much `size` is more than the pixels of a picture: GLM counts a picture as a video of two frames."""
    merge: int = 2
    """Patches a side that become one token."""


KINDS = (
    Kind("Qwen2VL", 56 * 56, 28 * 28 * 1280),
    Kind("Glm4v", 112 * 112, 28 * 28 * 15_000, frames=2),
    Kind("Glm46V", 112 * 112, 28 * 28 * 15_000, frames=2),
    Kind("PaddleOCRVL", 384 * 384, 1536 * 1536),
    Kind("VideoLlama3", 56 * 56, 28 * 28 * 1280, merge=1),
    Kind("Ernie4_5_VLMoe", 56 * 56, 28 * 28 * 6177),
    Kind("Glmga", 112 * 112, 28 * 28 * 15_000, frames=2),
    Kind("CohereCompass", 56 * 56, 28 * 28 * 1280),
)
"""Qwen2.5-VL to Qwen3.5 have Qwen2-VL's, GLM-4.5V has GLM-4.1V's, and GLM-OCR has GLM-4.6V's."""
_PATCH = 14
"""Pixels a side of a patch where a folder says nothing."""


def kind_of(settings: Any) -> Kind | None:
    """The kind that an image processor's settings name; None where it scales by sides or tiles."""
    named = _type(settings) if isinstance(settings, Mapping) else ""
    return next((kind for kind in KINDS if named.startswith(kind.prefix)), None)


def bounds_of(settings: Mapping[str, Any], kind: Kind, low: int | None, high: int | None) -> tuple[int, int]:
    """Least and most pixels as `size` counts them: a recipe's, and the processor's own where the recipe has none."""
    size = settings.get("size")
    size = size if isinstance(size, Mapping) else {}
    own_low = _number(settings.get(MIN)) or _number(size.get(LOW)) or kind.low
    own_high = _number(settings.get(MAX)) or _number(size.get(HIGH)) or kind.high
    return own_low if low is None else kind.frames * low, own_high if high is None else kind.frames * high


def seen(settings: Mapping[str, Any], view: PlannedImage) -> ImageSize | None:
    """Tokens and patches of the picture; None where the tower's one size says how many."""
    if (kind := kind_of(settings)) is not None:
        return _scaled(settings, kind, view)
    return _in_slices(settings, view) if _type(settings).startswith(_SLICED) else None


def _scaled(settings: Mapping[str, Any], kind: Kind, view: PlannedImage) -> ImageSize:
    merge = _positive(settings.get("merge_size"), kind.merge)
    side = merge * _positive(settings.get("patch_size"), _PATCH)
    bounds = bounds_of(settings, kind, view.min_pixels, view.max_pixels)
    low, high = (max(bound, 1) / kind.frames for bound in bounds)
    rows, columns = round(view.height / side), round(view.width / side)
    pixels = view.width * view.height
    if rows * columns * side**2 > high:
        shrink = sqrt(pixels / high) * side
        rows, columns = max(1, floor(view.height / shrink)), max(1, floor(view.width / shrink))
    elif rows * columns * side**2 < low:
        shrink = sqrt(pixels / low) * side
        rows, columns = ceil(view.height / shrink), ceil(view.width / shrink)
    return ImageSize(rows * columns, rows * columns * merge**2)


def _in_slices(settings: Mapping[str, Any], view: PlannedImage) -> ImageSize:
    """The whole picture, small, and the slices of the large one, each of which is scaled to one area."""
    side, patch = _positive(settings.get("scale_resolution"), 448), _positive(settings.get("patch_size"), _PATCH)
    grid = None
    if settings.get("slice_mode", True) is not False:
        grid = _grid(view, side, _positive(settings.get("max_slice_nums"), 9))
    whole = _area(view.width, view.height, side, patch, enlarge=grid is None)
    slices = 0
    if grid is not None:
        rows, columns = grid
        parts = (_near(view.width, columns) / columns, _near(view.height, rows) / rows)
        slices = rows * columns * _area(*parts, side, patch, enlarge=True)
    # Counted in the least square that becomes a token where nothing is kept finer.
    finer = 4 if settings.get("downsample_mode") == "4x" else 1
    return ImageSize((whole + slices) * finer, (whole + slices) * _MERGED**2)


def _grid(view: PlannedImage, side: int, most: int) -> tuple[int, int] | None:
    """Rows and columns of slices; None where the picture is small enough to stay whole."""
    wanted = min(ceil(view.width * view.height / side**2), most)
    if wanted <= 1:
        return None
    best, least = (1, 1), inf
    for many in (wanted - 1, wanted, wanted + 1):
        for rows in _divisors(many) if 1 < many <= most else ():
            error = abs(log(view.width / view.height) - log(many // rows / rows))
            if error < least or (error == least and rows > best[0]):
                best, least = (rows, many // rows), error
    return best


def _divisors(many: int) -> Iterator[int]:
    return (one for one in range(1, many + 1) if many % one == 0)


def _area(width: float, height: float, side: int, patch: int, *, enlarge: bool) -> int:
    """Squares of patches in a picture that is scaled to the area of a square of `side`."""
    if enlarge or width * height > side**2:
        ratio = width / height
        height = int(side / sqrt(ratio))
        width = int(height * ratio)
    square = _MERGED * patch
    return (_near(width, square) // square) * (_near(height, square) // square)


def _near(length: float, step: int) -> int:
    """The multiple of a step that is nearest, and no less than one step."""
    return max(round(length / step) * step, step)


def _type(settings: Mapping[str, Any]) -> str:
    return str(settings.get("image_processor_type", ""))


def _number(value: Any) -> int | None:
    return value if type(value) is int else None


def _positive(value: Any, otherwise: int) -> int:
    return value if type(value) is int and 0 < value < 100_000 else otherwise
