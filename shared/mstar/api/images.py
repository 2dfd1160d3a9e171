"""How an image travels: as bytes or as the hash of stored bytes, never as a URL."""

import binascii

from pydantic import Field, model_validator

from mstar.errors import InvalidImage
from mstar.types import Frozen, Sha256

PIECE = 4 * 2**18
"""Characters decoded at a time: decoding holds the interpreter lock, and other requests want it in between."""


class ImageInput(Frozen):
    """Exactly one of the two."""

    sha256: Sha256 | None = None
    """Content hash of an image in the image store that the service shares."""
    data: str | None = Field(default=None, max_length=28_000_000)
    """The file's bytes (PNG, JPEG or WebP) in standard base64."""

    @model_validator(mode="after")
    def _one(self) -> "ImageInput":
        if (self.sha256 is None) == (self.data is None):
            raise ValueError("give either sha256 or data (base64 of the file); URLs are never fetched")
        return self


def read_base64(text: str, field: str = "image.data") -> bytes:
    """Bytes of standard base64 in its one canonical form (RFC 4648, section 3.5). Raises InvalidImage."""
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    try:
        # Padding in the middle would end the text there.
        if any("=" in piece for piece in pieces[:-1]):
            raise ValueError("padding before the end")
        data = b"".join(binascii.a2b_base64(piece, strict_mode=True) for piece in pieces)
    except ValueError:
        raise InvalidImage(f"{field} is not standard base64", field=field) from None
    tail = (len(data) - 1) // 3 * 3
    if data and binascii.b2a_base64(data[tail:], newline=False).decode() != text[-4:]:
        raise InvalidImage(
            f"{field} is not canonical base64: its last character has bits that mean nothing", field=field
        )
    return data
