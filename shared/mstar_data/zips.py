"""Reads members of zip files within bounds. Whatever is wrong with one is told as a ValueError."""

import io
import lzma
import zipfile
import zlib
from pathlib import Path

from mstar_data.bounds import Opener

UNREADABLE = (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, zlib.error, lzma.LZMAError)
"""What `zipfile` raises for damage, encryption and methods that it does not know."""
LARGEST_MEMBER = 48 * 2**20
MOST_MEMBERS = 1_000_000
"""Of an archive. `zipfile` holds about half a kilobyte for each as long as the archive is open."""
LARGEST_DIRECTORY = 128 * 2**20
"""Bytes of the list of members, with their names."""
_ENTRY = b"PK\x01\x02"
"""Begins each entry of the list (APPNOTE 6.3.10, section 4.3.12)."""


class _Archive(zipfile.ZipFile):
    """A zip file whose list of members is within the bounds. Raises ValueError, and what is UNREADABLE."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._source = _Source(file.detach())
        try:
            super().__init__(self._source)
        except BaseException:
            self._source.close()
            raise
        self._source.opening = False

    def close(self) -> None:
        super().close()
        self._source.close()


class _Source(io.BufferedReader):
    """The file that `zipfile` reads; while it opens it, nothing is read beyond the bounds.

    They hold for what is read, not for what the end record says: `zipfile` does not believe its count either, and a
    reader of our own could take another record for the last one than `zipfile` does.
    """

    opening = True

    def read(self, size: int | None = -1, /) -> bytes:
        if not self.opening:
            return super().read(size)
        # Without a size it looks for the end record, in the last 64 KiB.
        asked = LARGEST_DIRECTORY if size is None or size < 0 else size
        if asked > LARGEST_DIRECTORY:
            raise ValueError(f"its list of members is larger than {LARGEST_DIRECTORY >> 20} MiB: unpack it")
        data = super().read(asked)
        if data.count(_ENTRY) > MOST_MEMBERS:
            raise ValueError(f"it has more than {MOST_MEMBERS} members: unpack it")
        return data


def opened_zip(path: Path, opened: Opener) -> zipfile.ZipFile:
    """Raises ValueError, also for an archive with too many members to be held in memory."""
    try:
        return _Archive(opened(path))
    except UNREADABLE as error:
        raise ValueError(f"{path.name} is not a readable archive ({str(error)[:120]})") from None


def files_in(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Its members without folders, and without what a Mac adds and what is hidden."""
    return [info for info in archive.infolist() if not info.is_dir() and not _is_hidden(info.filename)]


def _is_hidden(name: str) -> bool:
    parts = name.split("/")
    return parts[0] == "__MACOSX" or any(part.startswith(".") and part not in (".", "..") for part in parts)


def unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """What a member unpacks to; the size that its header states is not believed. Raises ValueError."""
    name = info.filename[-80:]
    if info.flag_bits & 1:
        raise ValueError(f"{name} is encrypted: unpack the archive with its password")
    try:
        with archive.open(info) as file:
            data = file.read(LARGEST_MEMBER + 1)
    except UNREADABLE as error:
        raise ValueError(f"{name} cannot be unpacked ({str(error)[:120]})") from None
    if len(data) > LARGEST_MEMBER:
        raise ValueError(f"{name} is larger than {LARGEST_MEMBER >> 20} MiB")
    return data
