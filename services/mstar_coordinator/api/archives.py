"""Tar archives of which any range of bytes can be read: laid out beforehand, and never written.

Every header and every place in the archive follows from names, sizes and times, so a download that broke off goes on at
its byte without the archive ever being made. Small files that the coordinator rewrites while a run goes on are read
when the archive is laid out, so that a change breaks no download. What this leaves out: compression, which weights
and images resist.
"""

import hashlib
import os
import tarfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mstar.errors import Unavailable

BLOCK = tarfile.BLOCKSIZE
END = 2 * BLOCK
"""Two empty blocks end an archive (POSIX.1-2001, pax)."""
CHUNK = 1 << 18
MODE = 0o644
HELD_BYTES = 16 * 2**20
"""The largest file that is held in memory while it is sent; reports have pictures in them."""
_OCTAL = 8**11
"""What a number in a plain header stays below."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file to send, as it was when it was looked at."""

    name: str
    """In the archive."""
    path: Path | str
    """Text where there may be 100,000 of them: a `Path` takes a kilobyte."""
    size: int
    mtime_ns: int
    rewritten: bool = False
    """Another version may replace it at any moment, in one rename."""
    data: bytes | None = None
    """Its content, where that is held."""


@dataclass(frozen=True)
class ArchiveStream:
    """What is sent, with a tag that changes whenever any of its files does.

    It holds entries and places, and makes headers when their bytes are asked for: an archive may have 100,000 files.
    """

    entries: Sequence[Entry]
    tag: str
    begins: Sequence[int]
    """Place of the first byte of each file."""
    size: int
    """Its length."""
    folder: str | None = None
    """What names in the archive begin with; None for a file by itself, without any header."""

    def read(self, first: int, last: int) -> Iterator[bytes]:
        """Bytes `first` to `last`, both included. Raises Unavailable where a file is no longer what it was."""
        return _filled(self._parts(first, last))

    def _parts(self, first: int, last: int) -> Iterator[bytes]:
        # From the file that the first byte is of, or whose padding or the next one's header it is in.
        for number in range(max(0, bisect_right(self.begins, first) - 1), len(self.entries)):
            entry, begin = self.entries[number], self.begins[number]
            if self.folder is not None:
                head = _head(entry, self.folder)
                yield from _cut(head, first - (begin - len(head)), last - (begin - len(head)))
            yield from _part(entry, max(first - begin, 0), min(last + 1 - begin, entry.size))
            if self.folder is not None:
                end = begin + entry.size
                yield from _cut(bytes(-entry.size % BLOCK), first - end, last - end)
            if begin + entry.size > last:
                return
        if self.folder is not None:
            yield from _cut(bytes(END), first - (self.size - END), last - (self.size - END))


def plain(entry: Entry) -> ArchiveStream:
    """One file as it is. Raises Unavailable where it is gone."""
    entry = held(entry)
    return ArchiveStream((entry,), tag_of([entry]), (0,), entry.size)


def archive(entries: Sequence[Entry], folder: str) -> ArchiveStream:
    """A tar archive (POSIX pax) with the files below one folder. Raises Unavailable where one is gone."""
    begins = []
    place = 0
    entries = [held(entry) for entry in entries]
    for entry in entries:
        begin = place + _head_size(entry, folder)
        begins.append(begin)
        place = begin + entry.size + -entry.size % BLOCK
    return ArchiveStream(entries, tag_of(entries), begins, place + END, folder)


def held(entry: Entry) -> Entry:
    """A file that is rewritten, with the content that it has now and the size and time of that; others as they are.

    Raises Unavailable where it is gone.
    """
    if not entry.rewritten or entry.data is not None:
        return entry
    try:
        with open(entry.path, "rb") as file:
            # Of the open file, which stays the same one when another takes its name.
            seen = os.fstat(file.fileno())
            data = file.read(HELD_BYTES + 1)
    except FileNotFoundError:
        raise Unavailable(f"{os.path.basename(entry.path)} is gone: download it again") from None
    if len(data) > HELD_BYTES:
        return entry
    return replace(entry, size=len(data), mtime_ns=seen.st_mtime_ns, data=data)


def tag_of(entries: Sequence[Entry]) -> str:
    """A strong entity tag (RFC 9110, section 8.8.3), quotes included."""
    # In parts, since the text of 100,000 files would take tens of megabytes.
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(repr((entry.name, entry.size, entry.mtime_ns)).encode())
    return f'"{digest.hexdigest()[:32]}"'


def _head(entry: Entry, folder: str) -> bytes:
    about = tarfile.TarInfo(f"{folder}/{entry.name}")
    # Whole seconds, since a fraction would need a header of its own.
    about.size, about.mtime, about.mode = entry.size, entry.mtime_ns // 10**9, MODE
    return about.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _head_size(entry: Entry, folder: str) -> int:
    """How long `_head` is, without making it where that is plain: to lay out 100,000 files would take seconds."""
    length = len(folder) + 1 + len(entry.name)
    fits = entry.size < _OCTAL and 0 <= entry.mtime_ns < _OCTAL * 10**9
    if fits and length <= tarfile.LENGTH_NAME and folder.isascii() and entry.name.isascii():
        return BLOCK
    return len(_head(entry, folder))


def _cut(data: bytes, first: int, last: int) -> Iterator[bytes]:
    """The stretch of some bytes, if there is any; `first` and `last` may lie outside of them."""
    if found := data[max(first, 0) : max(last + 1, 0)]:
        yield found


def _filled(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer parts: a data set has thousands of small files, and each part sent has a price."""
    waiting: list[bytes] = []
    size = 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        if size >= CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _part(entry: Entry, begin: int, end: int) -> Iterator[bytes]:
    if begin >= end:
        return
    if entry.data is not None:
        yield entry.data[begin:end]
        return
    name = os.path.basename(entry.path)
    try:
        with open(entry.path, "rb") as file:
            seen = os.fstat(file.fileno())
            # A run that is repaired publishes anew while somebody downloads: two versions must not become one archive.
            if (seen.st_size, seen.st_mtime_ns) != (entry.size, entry.mtime_ns):
                raise Unavailable(f"{name} has changed since the download began: download it again")
            file.seek(begin)
            while begin < end:
                read = file.read(min(CHUNK, end - begin))
                if not read:
                    raise Unavailable(f"{name} became shorter while it was sent: download it again")
                begin += len(read)
                yield read
    except FileNotFoundError:
        raise Unavailable(f"{name} is gone: download it again") from None
