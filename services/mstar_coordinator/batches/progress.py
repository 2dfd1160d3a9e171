"""How far a batch is: the answers so far, in two files that grow by a line for each request.

Requests are done in the order of the input, so the number of whole lines in both files says which is next. A line that
a crash has cut off is dropped, and its request is done again. A third file notes how far both were when the batch was
closed last, so that a turn reads what came since and not all of it; without that file, everything is read.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Self

from pydantic import ValidationError

from mstar.types import Frozen
from mstar_artefacts.durable import write_json
from mstar_coordinator.batches.lines import RequestLine, read_line


class _Place(Frozen):
    """How far a batch was. Lengths and offsets in bytes."""

    offset: int = 0
    """Of the input, after the last line that is answered."""
    number: int = 0
    """Of that line, from 1; 0: none is."""
    completed: int = 0
    failed: int = 0
    output: int = 0
    """Length of the file of completed answers."""
    errors: int = 0


class BatchProgress:
    """A batch between its input and its answers. Its methods block on the disk: call them from a thread."""

    def __init__(self, folder: Path, batch_id: str, source: Path, require: Callable[[], None] = lambda: None) -> None:
        """`require`: raises Unavailable where somebody else may write the same files now. Raises OSError."""
        self._require = require
        folder.mkdir(parents=True, exist_ok=True)
        self.output, self.errors, self._note = own_files(folder, batch_id)
        self._source = source.open("rb")
        # True: answers of status 200; False: all others.
        self._sinks = {True: _whole(self.output), False: _whole(self.errors)}
        before = _read(self._note)
        if before.output > _size(self._sinks[True]) or before.errors > _size(self._sinks[False]):
            # The files are not those of the note: whoever restored one of them has to pay for a whole look.
            before = _Place()
        self.completed = before.completed + _lines(self._sinks[True], before.output)
        self.failed = before.failed + _lines(self._sinks[False], before.errors)
        self._source.seek(before.offset)
        self._number = before.number
        for _ in range(self.done - before.completed - before.failed):
            self._next_line()
        self._answered = self._source.tell(), self._number

    @property
    def done(self) -> int:
        """Requests that are answered, one way or the other."""
        return self.completed + self.failed

    def next(self) -> RequestLine | None:
        """The request after the last one that was read; None at the end. Raises InvalidInput for a damaged line."""
        line = self._next_line()
        return read_line(line, self._number) if line else None

    def write(self, answer: dict[str, Any], *, good: bool) -> None:
        """Add the answer to the request that was read last.

        Raises Unavailable where somebody else may have begun to write, whose count of answers is another one.
        """
        self._require()
        self._sinks[good].write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
        # Into the system's cache, which outlives this process; `close` makes it durable before counts are noted.
        self._sinks[good].flush()
        if good:
            self.completed += 1
        else:
            self.failed += 1
        # Here and not in `next`: a line that was read and not answered is asked again.
        self._answered = self._source.tell(), self._number

    def close(self) -> None:
        """Have all of it on the disk.

        Raises StorageFull where the note of it finds no room, and Unavailable as `write`; nothing is lost then.
        """
        self._source.close()
        sizes = {good: _size(sink) for good, sink in self._sinks.items()}
        for sink in self._sinks.values():
            os.fsync(sink.fileno())
            sink.close()
        # Their note is not to say what these counts say of files that have grown since.
        self._require()
        offset, number = self._answered
        # After the answers are durable, so that it never says more than they hold.
        place = _Place(
            offset=offset,
            number=number,
            completed=self.completed,
            failed=self.failed,
            output=sizes[True],
            errors=sizes[False],
        )
        write_json(self._note, place.model_dump())

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


def own_files(folder: Path, batch_id: str) -> tuple[Path, Path, Path]:
    """Where a batch's answers grow: those of status 200, and all others; and the note of how far it is."""
    return folder / f"{batch_id}.output", folder / f"{batch_id}.errors", folder / f"{batch_id}.place"


def answered(folder: Path, batch_id: str) -> tuple[int, int]:
    """How many answers there are, those of status 200 first; for a batch whose input cannot be read. Raises OSError."""
    counts = []
    for path in own_files(folder, batch_id)[:2]:
        if not path.exists():
            counts.append(0)
            continue
        with _whole(path) as sink:
            counts.append(_lines(sink, 0))
    return counts[0], counts[1]


def _read(note: Path) -> _Place:
    try:
        return _Place.model_validate_json(note.read_bytes())
    except (OSError, ValidationError):
        return _Place()


def _size(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


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


def _lines(file: BinaryIO, begin: int) -> int:
    """Lines from a byte on."""
    file.seek(begin)
    return sum(part.count(b"\n") for part in iter(lambda: file.read(2**20), b""))
