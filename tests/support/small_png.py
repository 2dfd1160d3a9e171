"""Pictures without a library: PNGs of 16 x 16 pixels that differ by their number."""

import struct
import zlib

SIDE = 16


def small_png(number: int) -> bytes:
    """Grey noise drawn from the number, so that no two look alike."""
    state, rows = number * 2_654_435_761 % 2**32 or 1, b""
    for _ in range(SIDE):
        line = bytearray()
        for _ in range(SIDE):
            state = (state * 1_664_525 + 1_013_904_223) % 2**32
            line.append(state >> 24)
        rows += b"\0" + line
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(*one) for one in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
