"""A picture in any of Pillow's modes as the upright RGB that every model sees.

Transparency shows white paper, as on a page: dropping it would leave whatever colour lies below, mostly black. Grey of
more than 8 bits is scaled and not clipped.
"""

import contextlib
from typing import cast

from PIL import Image, ImageMath, ImageOps

WHITE = (255, 255, 255)
_DEEP_GREY = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def upright_rgb(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF data says, on white, in RGB. Raises OSError for data that is damaged."""
    image.load()
    # Broken EXIF data is common and says nothing about the pixels.
    with contextlib.suppress(Exception):
        image = ImageOps.exif_transpose(image)
    if image.mode in _DEEP_GREY:
        return _scaled(image).convert("RGB")
    if "transparency" not in image.info and image.mode not in ("RGBA", "LA", "PA", "La", "RGBa"):
        return image.convert("RGB")
    layered = image.convert("RGBA")
    paper = Image.new("RGB", layered.size, WHITE)
    paper.paste(layered, mask=layered.getchannel("A"))
    return paper


def _scaled(image: Image.Image) -> Image.Image:
    """Deep grey in 8 bits: the range of its format, where that is known, or of its values becomes [0, 255]."""
    wide = image.convert("F")
    low, high = cast(tuple[float, float], wide.getextrema())
    if image.mode.startswith("I;16"):
        largest = 65535.0
    elif image.mode == "F" and low >= 0 and high <= 1:
        largest = 1.0
    else:
        largest = next((limit for limit in (255.0, 65535.0) if high <= limit), high)
    # Only values below 0 move the range: a dark picture must stay dark.
    lowest = min(low, 0.0)
    factor = 255 / (largest - lowest)
    # Conversion to 8 bits cuts the fraction off, hence the half.
    grey = wide.point(lambda value: value * factor + (0.5 - lowest * factor)).convert("L")
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        # The one value that is transparent in a grey PNG.
        hole = ImageMath.lambda_eval(lambda bands: (bands["grey"] == clear) * 255, grey=image.convert("I"))
        grey.paste(255, mask=hole.convert("L"))
    return grey
