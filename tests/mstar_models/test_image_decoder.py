"""The decoding process: its frames, its order, and what it cannot take more of than it was given."""

import io
import json
import struct
import subprocess
import sys
import zlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mstar_models.image_decoder import MAX_PIXELS, MEMORY_BYTES
from mstar_models.image_headers import jpeg_scans, pixels_only


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def answers(*files: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """What the process answers to files that come one after another: the line, and the pixels of a good one."""
    sent = b"".join(struct.pack(">I", len(data)) + data for data in files)
    command = [sys.executable, "-m", "mstar_models.image_decoder"]
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


def test_a_small_file_of_many_pixels_is_refused_by_its_header() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    ((head, _),) = answers(encoded(Image.new("1", (side, side))))
    assert head["code"] in ("invalid-image", "unsupported-image")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_what_a_png_packs_beside_its_pixels_is_never_unpacked() -> None:
    """Compressed texts and profiles may unpack to far more than the file."""
    data = encoded(Image.new("RGB", (4, 4), (7, 8, 9)))
    bomb = zlib.compress(b"\0" * 200_000_000, 9)
    beside = chunk(b"zTXt", b"Comment\0\0" + bomb) + chunk(b"iCCP", b"p\0\0" + bomb) + chunk(b"tEXt", b"k\0v") * 10_000
    (found, pixels), (after, _) = answers(data[:33] + beside + data[33:], data)
    assert len(beside) < MEMORY_BYTES // 500
    assert (found, pixels) == ({"width": 4, "height": 4}, bytes([7, 8, 9]) * 16)
    assert after == {"width": 4, "height": 4}


def noise(side: int) -> Image.Image:
    return Image.effect_noise((side, side), 90).convert("RGB")


def many_scans(side: int, times: int) -> bytes:
    """A progressive JPEG whose last scan is there many times."""
    data = encoded(noise(side), "JPEG", progressive=True, quality=70)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * times + data[-2:]


def test_a_progressive_jpeg_is_refused_by_the_number_of_its_scans() -> None:
    whole, bomb = (encoded(noise(800), "JPEG", progressive=True), many_scans(800, 900))
    (photo, _), (refused, _) = answers(whole, bomb)
    assert photo == {"width": 800, "height": 800}
    assert refused["code"] == "invalid-image" and "scans" in refused["detail"]


def test_scans_are_counted_in_the_first_picture_only() -> None:
    plain, progressive = (encoded(noise(64), "JPEG", progressive=several) for several in (False, True))
    assert jpeg_scans(plain) == jpeg_scans(plain + progressive) == 1
    assert 5 < jpeg_scans(progressive) < 20
    assert jpeg_scans(many_scans(64, 50)) == jpeg_scans(progressive) + 49
    assert [jpeg_scans(data) for data in (b"", b"\xff\xd8", b"\xff\xd8\xff", encoded(noise(4)))] == [1] * 4


@given(st.binary(max_size=200))
def test_headers_of_garbage_are_read_to_their_end(data: bytes) -> None:
    assert jpeg_scans(b"\xff\xd8" + data) >= 1
    assert pixels_only(data) == data or data.startswith(b"\x89PNG")


def test_a_photo_with_a_second_picture_is_a_photo() -> None:
    """As phones save depth maps (an index of pictures, MPF, in the first one)."""
    out = io.BytesIO()
    photo = Image.new("RGB", (8, 4), (200, 40, 60))
    photo.save(out, "MPO", save_all=True, append_images=[Image.new("RGB", (2, 2))])
    ((head, pixels),) = answers(out.getvalue())
    assert head == {"width": 8, "height": 4}
    assert max(abs(a - b) for a, b in zip(pixels, photo.tobytes(), strict=True)) < 6


def test_several_frames_are_refused_in_every_format() -> None:
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 200)]
    for kind in ("PNG", "WEBP"):
        ((head, _),) = answers(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
        assert head["code"] == "invalid-image" and "animated" in head["detail"]
