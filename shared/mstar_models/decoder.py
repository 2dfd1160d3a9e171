"""The child process that decodes untrusted images: `python -m mstar_models.decoder`.

It reads frames (4-byte length, file bytes) from standard input and answers each with a JSON line, followed for a good
image by its RGB pixels. Address space is limited before Pillow is loaded, so a crafted file can at worst end this
process. It knows no path and no network.
"""

import json
import resource
import struct
import sys
import warnings
from io import BytesIO
from typing import BinaryIO

MEMORY_BYTES = 1 << 30
MAX_PIXELS = 40_000_000
MAX_SIDE_RATIO = 200
FORMATS = ("PNG", "JPEG", "WEBP")


def main() -> None:
    """Serve until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(4):
        _answer(source.read(struct.unpack(">I", head)[0]), sink)


def _answer(data: bytes, sink: BinaryIO) -> None:
    try:
        width, height, pixels = decode(data)
        sink.write(json.dumps({"width": width, "height": height}).encode() + b"\n" + pixels)
    except _Refused as refused:
        sink.write(json.dumps({"code": refused.args[0], "detail": refused.args[1]}).encode() + b"\n")
    sink.flush()


class _Refused(Exception):
    pass


def decode(data: bytes) -> tuple[int, int, bytes]:
    """(width, height, RGB bytes of shape [height, width, 3]) of one still image."""
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("error")
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except Exception as error:
        raise _Refused("unsupported-image", "image is not a readable PNG, JPEG or WebP file") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _Refused("invalid-image", f"image has {width} x {height} pixels; at most {MAX_PIXELS} are accepted")
    if max(width, height) > MAX_SIDE_RATIO * min(width, height):
        raise _Refused("invalid-image", f"image of {width} x {height} pixels is too narrow")
    if getattr(image, "n_frames", 1) > 1:
        raise _Refused("invalid-image", "image is animated; send a still one")
    try:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    except Exception as error:
        raise _Refused("invalid-image", "image data is damaged") from error
    return upright.width, upright.height, upright.tobytes()


if __name__ == "__main__":
    main()
