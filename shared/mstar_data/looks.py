"""Fingerprints of pictures: what one looks like, in a form that is compared in a moment."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeVar

Subject = TypeVar("Subject")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What an image looks like."""

    sha256: str
    """Of the file."""
    outline: int
    """256 bits: is a place brighter than its right neighbour?"""
    colours: bytes
    """Mean red, green and blue of 4 x 4 parts."""


class Looks(Protocol):
    """Decodes pictures: `mstar_data.fingerprints.Fingerprints`."""

    def each(self, pairs: Iterable[tuple[Subject, bytes | None]]) -> Iterator[tuple[Subject, Future[Fingerprint]]]:
        """Each subject with what its picture looks like, in order; the future raises ValueError for one of no use.

        A subject without a picture keeps its place, with a future that nobody may ask.
        """
        ...
