"""Files as one stream of bytes that any part can be asked of: a tar archive laid out before it is written.

Every header and every place in the archive follows from names, sizes and times, so a download that broke off goes on at
its byte without the archive ever being made. Small files that the coordinator rewrites while a run goes on are read
when the archive is laid out, so that a change breaks no download. What this leaves out: compression, which weights
and images resist.
"""

import hashlib
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mstar.errors import Unavailable

BLOCK = tarfile.BLOCKSIZE
CHUNK = 1 << 18
MODE = 0o644
HELD_BYTES = 16 * 2**20
"""The largest file that is held in memory while it is sent; reports have pictures in them."""


@dataclass(frozen=True)
class Entry:
    """A file to send, as it was when it was looked at."""

    name: str
    """In the archive."""
    path: Path
    size: int
    mtime_ns: int
    rewritten: bool = False
    """Another version may replace it at any moment, in one rename."""
    data: bytes | None = None
    """Its content, where that is held."""


@dataclass(frozen=True)
class Piece:
    """A stretch of the stream: bytes that are here, or a file's."""

    size: int
    data: bytes = b""
    file: Path | None = None
    mtime_ns: int = 0
    """Of the file, when it was looked at."""


@dataclass(frozen=True)
class Stream:
    """What is sent, with a tag that changes whenever any of its files does."""

    pieces: tuple[Piece, ...]
    tag: str
    begins: tuple[int, ...]
    """Place of the first byte of each file."""

    @property
    def size(self) -> int:
        """Its length."""
        return sum(piece.size for piece in self.pieces)

    def read(self, first: int, last: int) -> Iterator[bytes]:
        """Bytes `first` to `last`, both included. Raises Unavailable where a file is no longer what it was."""
        return _filled(self._parts(first, last))

    def _parts(self, first: int, last: int) -> Iterator[bytes]:
        place = 0
        for piece in self.pieces:
            begin, end = max(first - place, 0), min(last + 1 - place, piece.size)
            if begin < end:
                yield from _part(piece, begin, end)
            place += piece.size
            if place > last:
                return


def plain(entry: Entry) -> Stream:
    """One file as it is. Raises Unavailable where it is gone."""
    entry = held(entry)
    return Stream((_of_file(entry),), tag_of([entry]), (0,))


def archive(entries: Sequence[Entry], folder: str) -> Stream:
    """A tar archive (POSIX pax) with the files below one folder. Raises Unavailable where one is gone."""
    pieces: list[Piece] = []
    begins = []
    place = 0
    entries = [held(entry) for entry in entries]
    for entry in entries:
        about = tarfile.TarInfo(f"{folder}/{entry.name}")
        # Whole seconds, since a fraction would need a header of its own.
        about.size, about.mtime, about.mode = entry.size, entry.mtime_ns // 10**9, MODE
        head = about.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        padding = -entry.size % BLOCK
        begins.append(place + len(head))
        place += len(head) + entry.size + padding
        pieces += [Piece(len(head), head), _of_file(entry), Piece(padding, bytes(padding))]
    # Two empty blocks end an archive (POSIX.1-2001, pax).
    return Stream((*pieces, Piece(2 * BLOCK, bytes(2 * BLOCK))), tag_of(entries), tuple(begins))


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
        raise Unavailable(f"{entry.path.name} is gone: download it again") from None
    if len(data) > HELD_BYTES:
        return entry
    return replace(entry, size=len(data), mtime_ns=seen.st_mtime_ns, data=data)


def tag_of(entries: Sequence[Entry]) -> str:
    """A strong entity tag (RFC 9110, section 8.8.3), quotes included."""
    seen = repr([(entry.name, entry.size, entry.mtime_ns) for entry in entries])
    return f'"{hashlib.sha256(seen.encode()).hexdigest()[:32]}"'


def _of_file(entry: Entry) -> Piece:
    if entry.data is not None:
        return Piece(entry.size, entry.data)
    return Piece(entry.size, file=entry.path, mtime_ns=entry.mtime_ns)


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


def _part(piece: Piece, begin: int, end: int) -> Iterator[bytes]:
    if piece.file is None:
        yield piece.data[begin:end]
        return
    try:
        with open(piece.file, "rb") as file:
            seen = os.fstat(file.fileno())
            # A run that is repaired publishes anew while somebody downloads: two versions must not become one archive.
            if (seen.st_size, seen.st_mtime_ns) != (piece.size, piece.mtime_ns):
                raise Unavailable(f"{piece.file.name} has changed since the download began: download it again")
            file.seek(begin)
            while begin < end:
                read = file.read(min(CHUNK, end - begin))
                if not read:
                    raise Unavailable(f"{piece.file.name} became shorter while it was sent: download it again")
                begin += len(read)
                yield read
    except FileNotFoundError:
        raise Unavailable(f"{piece.file.name} is gone: download it again") from None
