"""How an image travels: as bytes or as the hash of stored bytes, never as a URL."""

import binascii
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from mstar.errors import InvalidImage, InvalidInput
from mstar.types import FIRST_BAD_ENDS, MAX_IMAGES, Frozen, Sha256, as_tuple

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


ImageInputs = Annotated[tuple[ImageInput, ...], FIRST_BAD_ENDS, BeforeValidator(as_tuple), Field(max_length=MAX_IMAGES)]


def read_base64(text: str, field: str = "images.data") -> bytes:
    """Bytes of standard base64 in its one canonical form (RFC 4648, section 3.5). Raises InvalidImage."""
    # PIECE is a multiple of 4 characters, so each piece is whole groups and decodes by itself.
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    try:
        # Padding in the middle would end the text there.
        if any("=" in piece for piece in pieces[:-1]):
            raise ValueError("padding before the end")
        data = b"".join(binascii.a2b_base64(piece, strict_mode=True) for piece in pieces)
    except ValueError:
        raise InvalidImage(f"{field} is not standard base64", field=field) from None
    # Only the last group may have bits left over, so it is encoded again: one image has one text.
    tail = (len(data) - 1) // 3 * 3
    if data and binascii.b2a_base64(data[tail:], newline=False).decode() != text[-4:]:
        raise InvalidImage(
            f"{field} is not canonical base64: its last character has bits that mean nothing", field=field
        )
    return data


# Beginnings only; the image decoder of the service looks at the whole file.
SIGNATURES = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff", "webp": b"RIFF"}


def image_of_data_url(url: str, field: str) -> ImageInput:
    """The image of a `data:image/…;base64,…` URL (RFC 2397).

    Raises InvalidInput for another kind of URL or a type other than PNG, JPEG and WebP, and InvalidImage when the bytes
    do not begin as the declared type does.
    """
    head, _, data = url.partition(",")
    kind = head.lower().removeprefix("data:image/").removesuffix(";base64").replace("jpg", "jpeg")
    if head.lower() not in (f"data:image/{name};base64" for name in (*SIGNATURES, "jpg")):
        detail = f"{field}: the image must be data:image/png;base64,… (or jpeg, webp); addresses are never fetched"
        raise InvalidInput(detail, field=field)
    if len(data) > 28_000_000:
        raise InvalidInput(f"{field}: the image has more than 28,000,000 characters of base64", field=field)
    # 16 characters are 12 bytes; a whole number of groups decodes by itself.
    if not read_base64(data[:16], field).startswith(SIGNATURES[kind]):
        raise InvalidImage(f"{field}: the bytes are not of the declared type image/{kind}", field=field)
    return ImageInput(data=data)
