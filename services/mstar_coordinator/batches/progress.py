"""How far a batch is: the answers so far, in two files that grow by a line for each request.

Requests are done in the order of the input, so the number of whole lines in both files says which is next. A line that
a crash has cut off is dropped, and its request is done again.
"""

import json
import os
from pathlib import Path
from typing import Any, BinaryIO, Self

from mstar_coordinator.batches.lines import RequestLine, read_line


class Progress:
    """A batch between its input and its answers. Its methods block on the disk: call them from a thread."""

    def __init__(self, folder: Path, batch_id: str, source: Path) -> None:
        """Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        self.output, self.errors = answer_files(folder, batch_id)
        self._source = source.open("rb")
        self._number = 0
        # True: answers of status 200; False: all others.
        self._sinks = {True: _whole(self.output), False: _whole(self.errors)}
        self.completed, self.failed = (_lines(self._sinks[good]) for good in (True, False))
        for _ in range(self.done):
            self._next_line()

    @property
    def done(self) -> int:
        """Requests that are answered, one way or the other."""
        return self.completed + self.failed

    def next(self) -> RequestLine | None:
        """The request after the last one that was read; None at the end. Raises InvalidInput for a damaged line."""
        line = self._next_line()
        return read_line(line, self._number) if line else None

    def write(self, answer: dict[str, Any], *, good: bool) -> None:
        """Add the answer to the request that was read last."""
        self._sinks[good].write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
        # Into the system's cache, which outlives this process; `close` makes it durable before counts are noted.
        self._sinks[good].flush()
        if good:
            self.completed += 1
        else:
            self.failed += 1

    def close(self) -> None:
        """Have all of it on the disk."""
        self._source.close()
        for sink in self._sinks.values():
            os.fsync(sink.fileno())
            sink.close()

    def remove(self) -> None:
        """Take both files away; after `close`."""
        self.output.unlink(missing_ok=True)
        self.errors.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next_line(self) -> bytes:
        """The next line that is not blank; nothing at the end."""
        while line := self._source.readline():
            self._number += 1
            if line.strip():
                return line
        return b""


def answer_files(folder: Path, batch_id: str) -> tuple[Path, Path]:
    """Where a batch's answers grow: those of status 200, and all others."""
    return folder / f"{batch_id}.output", folder / f"{batch_id}.errors"


def _whole(path: Path) -> BinaryIO:
    """A file to add to, without the part of a line that a crash may have left at its end."""
    sink = path.open("a+b")
    size = sink.seek(0, os.SEEK_END)
    end, part = size, b""
    # From the end in pieces: the last line may be longer than a piece, and the file far longer than the line.
    while end and b"\n" not in part:
        begin = max(0, end - 2**16)
        sink.seek(begin)
        part = sink.read(end - begin)
        if b"\n" not in part:
            end = begin
    keep = end - len(part) + part.rfind(b"\n") + 1 if end else 0
    if keep < size:
        sink.truncate(keep)
    return sink


def _lines(file: BinaryIO) -> int:
    file.seek(0)
    return sum(part.count(b"\n") for part in iter(lambda: file.read(2**20), b""))
