"""`mstar run download RUN`: downloads what a run left, and checks each file by its SHA-256.

What lies side by side in the archive comes in one request, since a data set has thousands of small files. A file that
broke off goes on at its last byte, and one that is there and right is not sent again. One that the run has rewritten
since the files were listed is listed again.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mstar.api.downloads import DownloadFile, Part
from mstar.client import Client
from mstar.errors import CorruptArtefact, Internal, MstarError, NotFound
from mstar.writing import not_written

UNFINISHED = ".part"
VERSIONS = 5
"""Of one file that are tried: the results of a run that goes on are rewritten every few seconds at most."""
BLOCK = 2**20
Report = Callable[[int], None]
"""Told how many bytes came."""


@dataclass(frozen=True)
class Wanted:
    """A file of a run, and where it goes."""

    file: DownloadFile
    target: Path

    @property
    def unfinished(self) -> Path:
        """Where its bytes go until all of them are right: a name without `.part` is a whole file."""
        return self.target.with_name(self.target.name + UNFINISHED)

    def is_here(self) -> bool:
        """Whether it is there and right."""
        # The size first: a file of another length needs no reading.
        there = self.target.is_file() and self.target.stat().st_size == self.file.bytes
        return there and _sum_of(self.target, self.file.bytes).hexdigest() == self.file.sha256

    def there(self) -> int:
        """Bytes of it that came before and may be right."""
        size = self.unfinished.stat().st_size if self.unfinished.is_file() else 0
        return size if size <= self.file.bytes else 0

    def write(self, pieces: Iterator[bytes], begin: int, report: Report) -> bool:
        """Write its bytes from one on; it has its name once all are there and right. Returns whether they are.

        What came is kept where the pieces break off, and dropped where it is wrong.
        """
        self.unfinished.parent.mkdir(parents=True, exist_ok=True)
        found, size = _sum_of(self.unfinished, begin), begin
        with open(self.unfinished, "ab" if begin else "wb") as sink:
            for data in pieces:
                sink.write(data)
                found.update(data)
                size += len(data)
                report(len(data))
        if found.hexdigest() == self.file.sha256:
            self.unfinished.replace(self.target)
            return True
        report(-size)
        self.unfinished.unlink()
        return False


class Cut:
    """Cuts a stream of bytes at given places."""

    def __init__(self, pieces: Iterator[bytes], place: int) -> None:
        self._pieces = pieces
        self._rest = b""
        self._place = place

    def until(self, end: int) -> Iterator[bytes]:
        """What comes before a place, and not yet was given; less where the stream ends."""
        while self._place < end:
            data = self._rest or next(self._pieces, b"")
            if not data:
                return
            given, self._rest = data[: end - self._place], data[end - self._place :]
            self._place += len(given)
            yield given


def download(client: Client, run_id: str, part: Part, out: Path, report: Report, below: str = "") -> list[DownloadFile]:
    """Bring the files of a part below `out`; returns all of them. `below`: what their names lose, such as `policy/`.

    Raises NotFound, CorruptArtefact, StorageFull or NotWritable.
    """
    files = client.download_files(run_id, part).data
    # All names are checked before the first byte is written.
    wanted = [Wanted(one, _target(out, one.name.removeprefix(below))) for one in files]
    brought = {one.file.name: one.file for one in wanted}
    place = out
    try:
        for stretch in _stretches(wanted, report):
            place = stretch[0].target
            left = _bring_stretch(client, run_id, part, stretch, report)
            for one in left:
                place = one.target
                version = _bring_version(client, run_id, part, one, report)
                if version is None:
                    del brought[one.file.name]
                else:
                    brought[one.file.name] = version
    except OSError as error:
        raise not_written(error, place) from error
    return list(brought.values())


def _stretches(wanted: Sequence[Wanted], report: Report) -> Iterator[list[Wanted]]:
    """Those that are not here, in groups that lie side by side in the archive."""
    stretch: list[Wanted] = []
    for one in wanted:
        here = one.is_here()
        # One of which a part is here begins a stretch, which then begins at its first byte that is lacking.
        if stretch and (here or one.there()):
            yield stretch
            stretch = []
        if here:
            report(one.file.bytes)
        else:
            stretch.append(one)
    if stretch:
        yield stretch


def _bring_stretch(client: Client, run_id: str, part: Part, stretch: list[Wanted], report: Report) -> list[Wanted]:
    """Bring files that lie side by side; returns those that are to be asked for by their names.

    Those are what another part of the archive has by now, since a file before them became longer, and all that comes
    after a connection broke off.
    """
    first, last = stretch[0].file, stretch[-1].file
    there = stretch[0].there()
    begin = first.begin + there
    cut = Cut(client.download_stretch(run_id, part, begin, last.begin + last.bytes), begin)
    report(there)
    left: list[Wanted] = []
    for number, one in enumerate(stretch):
        try:
            for _ in cut.until(one.file.begin):
                pass
            right = one.write(cut.until(one.file.begin + one.file.bytes), there, report)
        except MstarError:
            # Counted again by what continues it.
            report(-one.there())
            return left + stretch[number:]
        there = 0
        if not right:
            left.append(one)
    return left


def _bring_version(client: Client, run_id: str, part: Part, one: Wanted, report: Report) -> DownloadFile | None:
    """The file as it was brought: as it was listed, or a later version of it; None once the run has none of the name.

    Raises CorruptArtefact where a version does not have its own checksum.
    """
    for _ in range(VERSIONS - 1):
        try:
            _bring(client, run_id, part, one, report)
            return one.file
        except (CorruptArtefact, NotFound):
            name = one.file.name
            later = next((file for file in client.download_files(run_id, part).data if file.name == name), None)
            if later is None:
                one.unfinished.unlink(missing_ok=True)
                return None
            if later.sha256 == one.file.sha256:
                raise
            one = replace(one, file=later)
    _bring(client, run_id, part, one, report)
    return one.file


def _target(out: Path, name: str) -> Path:
    """Where a file goes. Raises Internal for a name that would leave the folder, which no server of ours sends."""
    parts = PurePosixPath(name).parts
    if not parts or any(part in ("..", "/") or "\\" in part or "\x00" in part for part in parts):
        raise Internal(f"the server names a file {name[:100]!r}, which lies outside of the folder")
    return out.joinpath(*parts)


def _bring(client: Client, run_id: str, part: Part, one: Wanted, report: Report) -> None:
    there = one.there()
    report(there)
    # What was there before may be of another run's file: then once more from the start.
    for begin in sorted({there, 0}, reverse=True):
        name, size = one.file.name, one.file.bytes
        if one.write(client.download_file(run_id, part, name, begin, size), begin, report):
            return
    raise CorruptArtefact(f"{one.file.name} does not have the checksum that the server names: download it again")


def _sum_of(path: Path, size: int) -> "hashlib._Hash":
    """The checksum of the first bytes of a file, which goes on with what is appended."""
    found = hashlib.sha256()
    if size:
        with open(path, "rb") as file:
            while data := file.read(min(BLOCK, size)):
                found.update(data)
                size -= len(data)
    return found
