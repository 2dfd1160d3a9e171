"""Reads text files in gzip, bzip2, xz or zstd as they unpack, within bounds: nothing is unpacked to the disk."""

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable, Mapping
from errno import EIO
from pathlib import Path
from typing import IO, Any, cast

from mstar_data.bounds import Opener
from mstar_data.tars import ALLOWANCE, RATIO

_UNREADABLE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)
"""What damaged files raise; pyarrow's errors are a ValueError or an OSError."""


def is_packed(path: Path) -> bool:
    """By its name."""
    return path.suffix.lower() in _STREAMS


def kind_of(path: Path) -> str:
    """The ending that says what a file holds: `.jsonl` of `train.jsonl.gz`."""
    return (path.with_suffix("") if is_packed(path) else path).suffix.lower()


def unpacked(opened: Opener) -> Opener:
    """Opens what is in such a file as if it were unpacked; any other file as it is."""

    def opener(path: Path) -> io.BufferedReader:
        file = opened(path)
        stream = _STREAMS.get(path.suffix.lower())
        return file if stream is None else io.BufferedReader(_Unpacked(file, stream(file)), 2**16)

    return opener


def _zstd(file: IO[bytes]) -> IO[bytes]:
    # Python has no zstd of its own before 3.14.
    import pyarrow

    return cast("IO[bytes]", pyarrow.input_stream(file, compression="zstd"))


_STREAMS: Mapping[str, Callable[[Any], Any]] = {
    ".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zst": _zstd,
}  # fmt: skip


class _Unpacked(io.RawIOBase):
    """What a file unpacks to. Reading it raises OSError for damage, and for a small file that would fill the day."""

    def __init__(self, file: io.BufferedReader, stream: IO[bytes]) -> None:
        self._file, self._stream = file, stream
        self._limit = self._left = RATIO * os.fstat(file.fileno()).st_size + ALLOWANCE

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            data = self._stream.read(len(buffer))
        except _UNREADABLE as error:
            raise OSError(EIO, f"damaged: {str(error)[:100]}") from None
        self._left -= len(data)
        if self._left < 0:
            raise OSError(EIO, f"it unpacks to more than {self._limit >> 20} MiB")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
