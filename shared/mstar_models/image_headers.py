"""What the header of an image file says it costs to decode, read before any of it is decoded.

Pillow knows the number of pixels from its own look at the header. This adds what it does not bound: how often a
progressive JPEG goes over all of them (ITU-T T.81, B.2), and what a PNG packs beside its pixels (RFC 2083, 4).
"""

import struct

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
# Transparency and orientation change what is seen; all other chunks are words about the picture.
_PNG_NEEDED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"})
_ANIMATED = b"acTL"
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_RESTARTS = range(0xD0, 0xD8)


class Animated(Exception):
    """The file has several frames."""


def pixels_only(data: bytes) -> bytes:
    """A PNG without texts, profiles and other chunks, which may unpack to far more than the file; others as they are.

    Raises Animated for a PNG of several frames.
    """
    if not data.startswith(PNG):
        return data
    kept = [PNG]
    place = len(PNG)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind == _ANIMATED:
            raise Animated
        # A chunk is its length, its kind, its data and a checksum: 4 + 4 + length + 4 bytes.
        end = place + length + 12
        if kind in _PNG_NEEDED:
            kept.append(data[place:end])
        place = end
    return b"".join(kept)


def jpeg_scans(data: bytes) -> int:
    """How many scans the first picture of a JPEG has; 1 for other files. A damaged file counts as far as it goes."""
    if not data.startswith(JPEG):
        return 1
    scans, place = 0, len(JPEG)
    while (place := data.find(b"\xff", place)) >= 0 and place + 1 < len(data):
        marker = data[place + 1]
        if marker == _END_OF_IMAGE:
            break
        if marker in (0x00, 0xFF) or marker in _RESTARTS:
            # Coded data, where a byte of 255 is followed by 0, and fill bytes.
            place += 2 if marker != 0xFF else 1
            continue
        scans += marker == _START_OF_SCAN
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return max(scans, 1)
