"""Whether a file is a still picture that the services take, from its header alone: PNG, JPEG or WebP.

Nothing is decoded, so this needs no image library. A file that passes may still be damaged further on.
"""

import struct
import zlib
from typing import BinaryIO

MAX_FILE_BYTES = 20_000_000
MAX_PIXELS = 40_000_000
MAX_PIXELS_TOGETHER = 2 * MAX_PIXELS
"""Of all images of one question: decoded, they are in memory at once."""
MAX_SIDE_RATIO = 200
"""As the image decoder of the model services has them."""
_PNG = b"\x89PNG\r\n\x1a\n"
# C4, C8 and CC lie in the range and are tables and reserved (T.81, table B.1).
_FRAME_STARTS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MAX_SEGMENTS = 10_000


_OTHERS = (
    (b"GIF8", "GIF"), (b"BM", "BMP"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"%PDF", "PDF"),
)  # fmt: skip
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC"}
"""Of the container of ISO 14496-12, in which phones keep pictures."""
_LFS = b"version https://git-lfs"


def what_instead(head: bytes) -> str:
    """What a file is whose first 30 bytes are of no picture that is taken, and what to do, as the end of a sentence."""
    if not head:
        return " (it is empty): fetch it again"
    if head.startswith(_LFS[: len(head)]):
        return " but a pointer of Git LFS: fetch the files with `git lfs pull`"
    if head.lstrip()[:5].lower() in (b"<!doc", b"<html"):
        return " but a web page: fetch the picture again"
    if head.lstrip()[:4].lower() in (b"<svg", b"<?xm"):
        return " (it is SVG or XML): convert it"
    brand = _BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None
    name = brand or next((name for start, name in _OTHERS if head.startswith(start)), None)
    return f" (it is {name}): convert it" if name else ": convert it"


def picture_size(file: BinaryIO) -> tuple[int, int]:
    """Width and height of a picture in an open file. Raises ValueError that says what is wrong with it."""
    # Of the open file, not of a path: nothing can be exchanged between this look and the reading.
    size = file.seek(0, 2)
    file.seek(0)
    if size > MAX_FILE_BYTES:
        raise ValueError(f"has {size} bytes; at most {MAX_FILE_BYTES} are accepted")
    # As much as the longest of the three headers needs: VP8X ends at byte 30.
    head = file.read(30)
    try:
        if head.startswith(_PNG):
            width, height = _png(file)
        elif head.startswith(b"\xff\xd8"):
            width, height = _jpeg(file)
        elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            width, height = _webp(head, size)
        else:
            raise ValueError(f"is not a PNG, JPEG or WebP file{what_instead(head)}")
    except struct.error:
        raise ValueError("is cut off in its header") from None
    if not width or not height:
        raise ValueError("has no pixels")
    if width * height > MAX_PIXELS:
        raise ValueError(f"has {width} x {height} pixels; at most {MAX_PIXELS} are accepted")
    if max(width, height) > MAX_SIDE_RATIO * min(width, height):
        raise ValueError(f"of {width} x {height} pixels is too narrow: a side may be {MAX_SIDE_RATIO} times the other")
    return width, height


def _png(file: BinaryIO) -> tuple[int, int]:
    """The chunks before the pixels (RFC 2083, 3): size first, and no animation control."""
    file.seek(len(_PNG))
    size: tuple[int, int] | None = None
    for _ in range(_MAX_SEGMENTS):
        length, kind = struct.unpack(">I4s", file.read(8))
        if size is None:
            body = file.read(17)
            width, height = struct.unpack_from(">II", body)
            (checksum,) = struct.unpack_from(">I", body, 13)
            if kind != b"IHDR" or length != 13 or zlib.crc32(kind + body[:13]) != checksum:
                raise ValueError("is a damaged PNG")
            size = width, height
            continue
        # It stands before the pixels (APNG), so an animation is known without reading them.
        if kind == b"acTL":
            raise ValueError("is animated; send a still one")
        if kind == b"IDAT":
            return size
        file.seek(length + 4, 1)
    raise ValueError("is a damaged PNG")


def _jpeg(file: BinaryIO) -> tuple[int, int]:
    """The first frame header (ITU-T T.81, B.2.2)."""
    file.seek(2)
    for _ in range(_MAX_SEGMENTS):
        mark, kind = struct.unpack(">BB", file.read(2))
        # Any number of fill bytes may stand before a marker (B.1.1.2).
        while mark == 0xFF and kind == 0xFF:
            (kind,) = struct.unpack(">B", file.read(1))
        (length,) = struct.unpack(">H", file.read(2))
        if mark != 0xFF or length < 2:
            break
        if kind in _FRAME_STARTS:
            _, height, width = struct.unpack(">BHH", file.read(5))
            return width, height
        file.seek(length - 2, 1)
    raise ValueError("is a damaged JPEG")


def _webp(head: bytes, size: int) -> tuple[int, int]:
    """The three kinds of WebP (RFC 9649, 2.5 to 2.7): extended, lossless, lossy."""
    (length,) = struct.unpack_from("<I", head, 4)
    if length + 8 > size:
        raise ValueError("is a WebP that was cut off")
    kind = head[12:16]
    if kind == b"VP8X":
        flags, wide, high = struct.unpack_from("<B3x3s3s", head, 20)
        if flags & 2:
            raise ValueError("is animated; send a still one")
        return int.from_bytes(wide, "little") + 1, int.from_bytes(high, "little") + 1
    if kind == b"VP8L":
        signature, bits = struct.unpack_from("<BI", head, 20)
        if signature == 0x2F:
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        start, width, height = struct.unpack_from("<3sHH", head, 23)
        if start == b"\x9d\x01\x2a":
            return width & 0x3FFF, height & 0x3FFF
    raise ValueError("is a damaged WebP")
