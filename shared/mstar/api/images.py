"""How an image travels: as bytes or as the hash of stored bytes, never as a URL."""

from pydantic import Field, model_validator

from mstar.types import Frozen, Sha256


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
