"""The child process that decodes untrusted images: `python -m mstar_models.image_decoder`.

It reads frames (4-byte length, file bytes) from standard input and answers each with a JSON line, followed for a good
image by its RGB pixels. Address space is limited before Pillow is loaded, and processor time for each image, so a
crafted file can at worst end this process. It knows no path and no network.
"""

import json
import resource
import struct
import sys
import time
import warnings
from collections.abc import Callable
from io import BytesIO
from math import ceil

from mstar_models.image_headers import Animated, jpeg_scans, pixels_only

MEMORY_BYTES = 1 << 30
CPU_SECONDS = 2
"""For one image. Processor time, not time on the clock, so that a busy machine refuses nothing."""
MAX_PIXELS = 40_000_000
MAX_SCANNED_PIXELS = 450_000_000
"""Pixels times scans: a progressive photo has about ten, and the largest takes one second and a half."""
MAX_SIDE_RATIO = 200
FORMATS = ("PNG", "JPEG", "WEBP")


def main() -> None:
    """Answer with pixels until standard input ends."""
    serve(_pixels)


def serve(answer: Callable[[bytes], bytes]) -> None:
    """Limit this process, then answer each frame until standard input ends; `answer` may raise Refused."""
    # The hard limit too, so that the process cannot raise it again.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    # A core dump would write what somebody sent to the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(4):
        data = source.read(struct.unpack(">I", head)[0])
        _limit_time()
        try:
            sink.write(answer(data))
        except Refused as refused:
            sink.write(json.dumps({"code": refused.args[0], "detail": refused.args[1]}).encode() + b"\n")
        sink.flush()


def _limit_time() -> None:
    """End this process when the next image takes longer: the kernel counts whole seconds of the process in all."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (ceil(time.process_time()) + CPU_SECONDS, hard))


def _pixels(data: bytes) -> bytes:
    width, height, pixels = decode(data)
    return json.dumps({"width": width, "height": height}).encode() + b"\n" + pixels


class Refused(Exception):
    """An image that is not taken, with the code of an error and its detail."""


def decode(data: bytes) -> tuple[int, int, bytes]:
    """(width, height, RGB bytes of shape [height, width, 3]) of one still image. Raises Refused."""
    from PIL import Image

    from mstar_models.pictures import upright_rgb

    # The bounds are checked here, and what Pillow warns of, such as odd EXIF data, is no reason to refuse a picture.
    Image.MAX_IMAGE_PIXELS = None
    warnings.simplefilter("ignore")
    try:
        data = pixels_only(data)
        image = Image.open(BytesIO(data), formats=FORMATS)
    except Animated:
        raise Refused("invalid-image", "image is animated; send a still one") from None
    except Exception as error:
        raise Refused("unsupported-image", "image is not a readable PNG, JPEG or WebP file") from error
    # Pillow has read the header only: a bomb is refused before its pixels take memory.
    _check_bounds(*image.size, jpeg_scans(data))
    # A phone's JPEG may hold a second picture (format MPO: a depth map, or the other eye's); the first is the photo.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise Refused("invalid-image", "image is animated; send a still one")
    try:
        upright = upright_rgb(image)
    except Exception as error:
        raise Refused("invalid-image", "image data is damaged") from error
    return upright.width, upright.height, upright.tobytes()


def _check_bounds(width: int, height: int, scans: int) -> None:
    if width * height > MAX_PIXELS:
        raise Refused("invalid-image", f"image has {width} x {height} pixels; at most {MAX_PIXELS} are accepted")
    if max(width, height) > MAX_SIDE_RATIO * min(width, height):
        raise Refused(
            "invalid-image",
            f"image of {width} x {height} pixels is too narrow: a side may be {MAX_SIDE_RATIO} times the other",
        )
    if width * height * scans > MAX_SCANNED_PIXELS:
        detail = f"progressive JPEG of {width} x {height} pixels has {scans} scans; save it as a baseline JPEG"
        raise Refused("invalid-image", detail)


if __name__ == "__main__":
    main()
