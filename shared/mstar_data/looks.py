"""What a picture looks like, in a form that is compared in a moment."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What an image looks like."""

    sha256: str
    """Of the file."""
    outline: int
    """256 bits: is a place brighter than its right neighbour?"""
    colours: bytes
    """Mean red, green and blue of 4 x 4 parts."""
