"""The decoding process: its frames, its order, and what it cannot take more of than it was given."""

import io
import json
import struct
import subprocess
import sys
import zlib
from typing import Any

from PIL import Image

from mstar_models.decoder import MAX_PIXELS, MEMORY_BYTES


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def answers(*files: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """What the process answers to files that come one after another: the line, and the pixels of a good one."""
    sent = b"".join(struct.pack(">I", len(data)) + data for data in files)
    command = [sys.executable, "-m", "mstar_models.decoder"]
    done = subprocess.run(command, input=sent, capture_output=True, check=True, timeout=60)
    source, found = io.BytesIO(done.stdout), []
    while line := source.readline():
        head = json.loads(line)
        found.append((head, source.read(head.get("width", 0) * head.get("height", 0) * 3)))
    return found


def test_every_file_gets_its_answer_in_order() -> None:
    first, second = Image.new("RGB", (3, 2), (1, 2, 3)), Image.new("RGB", (2, 2), (9, 8, 7))
    (one, pixels), (refused, nothing), (two, others) = answers(encoded(first), b"no picture", encoded(second))
    assert (one, pixels) == ({"width": 3, "height": 2}, first.tobytes())
    assert (refused["code"], nothing) == ("unsupported-image", b"")
    assert (two, others) == ({"width": 2, "height": 2}, second.tobytes())


def test_other_modes_become_rgb() -> None:
    for mode in ("L", "1", "P", "LA", "RGBA", "I;16"):
        ((head, pixels),) = answers(encoded(Image.new(mode, (4, 4))))
        assert (head, len(pixels)) == ({"width": 4, "height": 4}, 48), mode


def test_a_photo_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: the camera was held on its side.
    ((head, _),) = answers(encoded(Image.new("RGB", (8, 4)), "JPEG", exif=exif))
    assert head == {"width": 4, "height": 8}


def test_a_small_file_of_many_pixels_is_refused_by_its_header() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    ((head, _),) = answers(encoded(Image.new("1", (side, side))))
    assert head["code"] in ("invalid-image", "unsupported-image")


def test_text_that_unpacks_without_end_is_refused() -> None:
    """A compressed text chunk of a PNG may unpack to far more than the file."""
    data = encoded(Image.new("RGB", (4, 4)))
    chunk = b"zTXt" + b"Comment\0\0" + zlib.compress(b"\0" * 200_000_000, 9)
    bomb = data[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    (head, _), (after, _) = answers(bomb, data)
    assert len(bomb) < MEMORY_BYTES // 1000
    assert head["code"] in ("invalid-image", "unsupported-image")
    assert after == {"width": 4, "height": 4}
