"""Pictures in indexed colours, with glyphs and shapes drawn in integers only, and its PNG bytes.

The same seed gives the same bytes on every machine: no font, no anti-aliasing, no compressor whose output could differ
between versions (deflate blocks are stored, not compressed).
"""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIDE = 64
PATCH = 8
"""Glyphs are placed on an 8 x 8 grid of patches."""

WHITE, BLACK, RED, GREEN, BLUE, YELLOW, GREY, CREAM, NAVY, MINT, PINK, PURPLE, ORANGE, CYAN, SNOW, TEAL = range(16)
GREYS = 16
"""First of 17 grey levels, from black to white."""

_NAMED = [
    (255, 255, 255),
    (0, 0, 0),
    (214, 39, 40),
    (44, 140, 44),
    (31, 80, 200),
    (240, 190, 0),
    (150, 150, 150),
    (250, 244, 220),
    (16, 24, 64),
    (220, 244, 230),
    (240, 130, 180),
    (130, 60, 170),
    (250, 120, 10),
    (20, 190, 210),
    (236, 236, 240),
    (0, 100, 100),
]
PALETTE = np.array(_NAMED + [(level * 255 // 16,) * 3 for level in range(17)], dtype=np.uint8)

_ROWS = {
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111",
    "3": "11110 00001 00001 01110 00001 00001 11110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "B": "11110 10001 10001 11110 10001 10001 11110",
    "C": "01110 10001 10000 10000 10000 10001 01110",
    "D": "11110 10001 10001 10001 10001 10001 11110",
}
GLYPHS = {name: np.array([[int(bit) for bit in row] for row in rows.split()], bool) for name, rows in _ROWS.items()}

Picture = NDArray[np.uint8]
"""Colour indices, shape [height, width]."""


def blank(colour: int, side: int = SIDE) -> Picture:
    """A picture [side, side] of one colour."""
    return np.full((side, side), colour, dtype=np.uint8)


def letter(picture: Picture, row: int, column: int, character: str, colour: int) -> None:
    """Write one glyph into a patch."""
    _glyph(picture, row, column * PATCH + 1, character, colour)


def number(picture: Picture, row: int, column: int, value: int, colour: int) -> None:
    """Write a number of two digits into two patches, the digits drawn together so that neighbours stand apart."""
    _glyph(picture, row, column * PATCH + 2, str(value // 10), colour)
    _glyph(picture, row, (column + 1) * PATCH, str(value % 10), colour)


def _glyph(picture: Picture, row: int, left: int, character: str, colour: int) -> None:
    picture[row * PATCH : row * PATCH + 7, left : left + 5][GLYPHS[character]] = colour


def box(picture: Picture, top: int, left: int, bottom: int, right: int, colour: int, *, filled: bool = True) -> None:
    """Rectangle with exclusive lower and right edges."""
    if filled:
        picture[top:bottom, left:right] = colour
        return
    picture[[top, bottom - 1], left:right] = colour
    picture[top:bottom, [left, right - 1]] = colour


def line(picture: Picture, start: tuple[int, int], end: tuple[int, int], colour: int) -> None:
    """Straight line between two (row, column) points, both included."""
    # As many steps as pixels on the longer axis, so no pixel is left out between two others.
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    for step in range(steps + 1):
        # Rounded in integers: floats could differ in the last bit between machines.
        row = (start[0] * (steps - step) * 2 + end[0] * step * 2 + steps) // (2 * steps)
        column = (start[1] * (steps - step) * 2 + end[1] * step * 2 + steps) // (2 * steps)
        picture[row, column] = colour


# [13, 13], the middle at 0.
_Y, _X = np.mgrid[0:13, 0:13] - 6
SHAPES = {
    "circle": _X * _X + _Y * _Y <= 36,
    "square": (abs(_X) <= 5) & (abs(_Y) <= 5),
    "triangle": (2 * abs(_X) <= _Y + 6) & (abs(_Y) <= 6),
}


def shape(picture: Picture, cell_row: int, cell_column: int, name: str, colour: int) -> None:
    """A shape of 13 x 13 pixels in a cell of the 4 x 4 grid of 16-pixel cells."""
    top, left = cell_row * 16 + 1, cell_column * 16 + 1
    picture[top : top + 13, left : left + 13][SHAPES[name]] = colour


def rgb(picture: Picture) -> NDArray[np.uint8]:
    """Shape [height, width, 3]."""
    return PALETTE[picture]


def png(picture: Picture) -> bytes:
    """Indexed PNG with stored deflate blocks (RFC 1950, 1951)."""
    # Each row begins with its filter type, 0 for none (PNG, 9.2).
    raw = b"".join(b"\x00" + row.tobytes() for row in picture)
    body = (
        # zlib's two header bytes, one last stored block with its length and complement, Adler-32. Fits 65,535 bytes.
        b"\x78\x01\x01" + struct.pack("<HH", len(raw), len(raw) ^ 0xFFFF) + raw + struct.pack(">I", zlib.adler32(raw))
    )
    height, width = picture.shape
    # Eight bits a pixel, colour type 3: indices into PLTE.
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", PALETTE.tobytes()), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
