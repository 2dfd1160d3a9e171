"""Reads tar files within bounds: a small file must not unpack to more than memory or an afternoon can hold.

`tarfile` alone ends in silence at a damaged header, believes the size of an extended header, and takes quadratic time
on highly compressed data. Downloads that broke off and files that were made to do harm have all three.
"""

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Self, cast

from mstar_data.bounds import Opener

UNREADABLE = (tarfile.TarError, OSError, EOFError, zlib.error)
"""What a damaged tar raises."""
MAX_MEMBERS = 5_000_000
_LARGEST_HEADER = 2**20
_WORDY = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
"""Types whose content `tarfile` reads whole, as part of the next member's header."""
RATIO, ALLOWANCE = 100, 256 * 2**20
"""Pictures hardly shrink, and records of text shrink tenfold; gzip itself reaches a thousand."""


def stream_of(path: Path, opened: Opener) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Members of a tar, plain or with gzip, in their order; each can be read until the next is asked for.

    Raises what is in `UNREADABLE`.
    """
    with opened(path) as packed:
        if not _is_gzip(packed):
            yield from _members_of(packed)
            return
        limit = RATIO * os.fstat(packed.fileno()).st_size + ALLOWANCE
        with gzip.open(packed) as unpacked:
            bounded = _Bounded(cast("IO[bytes]", unpacked), limit)
            yield from _members_of(cast("IO[bytes]", bounded))
            # The checksum is compared at the end, which lies behind the tar's own.
            while bounded.read(tarfile.RECORDSIZE):
                pass


def places_of(path: Path, opened: Opener) -> Iterator[tuple[str, int, int]]:
    """Name, start and bytes of each member of a plain tar. Raises what is in `UNREADABLE`."""
    with opened(path) as file, tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as tar:
        for member in _each(tar):
            # A sparse member does not stand in the file as it is.
            if member.isfile() and not member.issparse():
                yield member.name, member.offset_data, member.size


def is_compressed(path: Path, opened: Opener) -> bool:
    """Whether a file begins as gzip does."""
    with opened(path) as file:
        return _is_gzip(file)


def _is_gzip(file: BufferedReader) -> bool:
    # RFC 1952, section 2.3.1. Looked at and not read, so that the file still stands at its start.
    return file.peek(2)[:2] == b"\x1f\x8b"


def _members_of(file: IO[bytes]) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    # As a stream: what is compressed can only be read forwards, and in this mode tarfile never seeks back.
    with tarfile.open(fileobj=file, mode="r|", tarinfo=_Header) as tar:
        for member in _each(tar):
            yield tar, member


def _each(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for number, member in enumerate(tar):
        # Empty members take half a kilobyte of file each, and none of the limits on bytes.
        if number > MAX_MEMBERS:
            raise tarfile.ReadError(f"more than {MAX_MEMBERS} members")
        yield member
        # It keeps them all for random access, a kilobyte each.
        tar.members = []  # type: ignore[attr-defined]


class _Header(tarfile.TarInfo):
    """A header that is damaged, or larger than any needs to be, is an error wherever it stands."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            header = super().frombuf(buf, encoding, errors)
        except (tarfile.EmptyHeaderError, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"damaged: {error}") from None
        if header.type in _WORDY and header.size > _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {header.size >> 20} MiB")
        return header


class _Bounded:
    """A file that refuses to be read beyond a number of bytes."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._limit, self._left = file, limit, limit

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise tarfile.ReadError(f"it unpacks to more than {self._limit >> 20} MiB: use a plain tar")
        return data
