"""Reads members of zip files within bounds. Whatever is wrong with one is told as a ValueError."""

import lzma
import zipfile
import zlib
from pathlib import Path

UNREADABLE = (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, zlib.error, lzma.LZMAError)
"""What `zipfile` raises for damage, encryption and methods that it does not know."""
LARGEST_MEMBER = 48 * 2**20


def opened_zip(path: Path) -> zipfile.ZipFile:
    """Raises ValueError."""
    try:
        return zipfile.ZipFile(path)
    except UNREADABLE as error:
        raise ValueError(f"{path.name} is not a readable archive ({str(error)[:120]})") from None


def files_in(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Its members without folders."""
    return [info for info in archive.infolist() if not info.is_dir()]


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
