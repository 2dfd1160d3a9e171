"""Opens the files that a data set names, behind links too, and nothing outside of its folder and what is allowed.

Whoever made a data set is not the operator, and a link or `..` could name any file of this machine. A path is resolved,
compared, and then opened folder by folder without following a link: what is swapped for a link meanwhile is refused.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from errno import EINVAL, ELOOP
from io import BufferedReader
from pathlib import Path

from mstar.errors import InvalidDataset
from mstar.reach import Reach

Opener = Callable[[Path], BufferedReader]
"""Opens a file of a data set. Raises OutOfBounds and OSError."""
MOST_LINKS = 10_000
"""Linked folders below a source. Links to links can make paths without end of a few folders."""
# O_PATH, which Linux alone has, needs no right to list the folder.
_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
# A pipe in a file's place would hold up the opening until somebody writes.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class OutOfBounds(ValueError):
    """A path that leads out of everything that the data set may read."""


@dataclass(frozen=True)
class Bounds:
    """What the paths of a data set may lead to."""

    own: tuple[Path, ...]
    """Its own folder, and the file that was named itself; absolute, without links."""
    reach: Reach | None = None
    beyond: set[Path] = field(default_factory=set, compare=False)
    """Folders of files that were opened and lie outside of its own: a change there changes the set."""

    def admits(self, real: Path) -> bool:
        """Whether an absolute path without links may be read: the deepest folder that holds it decides."""
        reach = self.reach
        if reach is None:
            return any(map(real.is_relative_to, self.own))
        if reach.binding and not real.is_relative_to(reach.root):
            return False
        allowed = (*self.own, reach.root)
        holding = [*filter(real.is_relative_to, allowed), *reach.shut(real)]
        return bool(holding) and max(holding, key=lambda one: len(one.parts)) in allowed

    def found(self, path: Path) -> Path | None:
        """Where a path leads; None where that may not be read. Raises OSError, also for links in a circle."""
        try:
            real = path.resolve()
        except RuntimeError:
            # Before Python 3.13.
            raise OSError(ELOOP, "links in a circle") from None
        return real if self.admits(real) else None

    def open(self, path: Path) -> BufferedReader:
        """Open the file that a path leads to. Raises OutOfBounds and OSError."""
        real = self.found(path)
        if real is None:
            raise OutOfBounds(f"{path.name[:80]} leads out of the data set's folder and of the data root")
        if not any(real.is_relative_to(one) for one in self.own):
            self.beyond.add(real.parent)
        return os.fdopen(_opened(self._base(real), real), "rb")

    def _base(self, real: Path) -> Path:
        """The folder from which on no link is followed. Above it nobody but the operator writes."""
        if self.reach is not None and real.is_relative_to(self.reach.root):
            return self.reach.root
        base = next(one for one in self.own if real.is_relative_to(one))
        return base.parent if base == real else base


def open_plainly(path: Path) -> BufferedReader:
    """For what a person names on their own machine."""
    return path.open("rb")


def bounds_of(source: Path, reach: Reach | None = None) -> Bounds:
    """The bounds of a source that somebody named: what is in its folder, and in `reach`.

    Where that is binding, `source` is absolute and without links, as it was admitted.
    """
    folder = source if source.is_dir() else source.parent
    # Resolved again, a folder that was swapped for a link since would open whatever it leads to.
    folder = folder if reach is not None and reach.binding else folder.resolve()
    # Files of a hub's snapshot are links to ../../blobs, so its root is the data set's folder in the cache.
    hubs = (one.parent.parent for one in (folder, *folder.parents) if one.parent.name == "snapshots")
    above = next((one for one in hubs if (one / "blobs").is_dir()), folder)
    if source.is_file() and (reach is None or not reach.binding):
        # A file that was named may be a link itself: the user chose it.
        return Bounds((above, source.resolve()), reach)
    return Bounds((above,), reach)


def walked(
    bounds: Bounds,
    folder: Path,
    *,
    hidden: bool = False,
    enters: Callable[[Path, Sequence[str]], bool] = lambda link, beside: True,
) -> Iterator[Path]:
    """Files in a folder and its sub-folders, also behind links that stay within the bounds. In no order.

    `enters`: whether to go into a linked folder, from its path and the names beside it.

    A link that leads out comes as if it were a file: who opens it is told. Raises InvalidDataset for links to links
    without an end to be seen.
    """
    links = 0
    # Each folder with those, without links, that the way to it went through: a link back to one of them is a circle.
    ahead: list[tuple[Path, tuple[Path, ...]]] = [(folder, (folder.resolve(),))]
    while ahead:
        here, through = ahead.pop()
        entries = _entries(here)
        names = [entry.name for entry in entries]
        for entry in entries:
            if entry.name.startswith(".") and not hidden:
                continue
            path = here / entry.name
            # From where the folder really is: the way to it may be long, and every link on it would be read again.
            inside = through[-1] / entry.name
            real = _led(bounds, inside) if entry.is_symlink() else inside
            if real is None or not entry.is_dir():
                if real is None or entry.is_file():
                    yield path
            elif not entry.is_symlink():
                if bounds.admits(real):
                    ahead.append((path, (*through[:-1], real)))
            elif enters(path, names) and not any(one.is_relative_to(real) for one in through):
                links += 1
                if links > MOST_LINKS:
                    raise InvalidDataset(f"{folder} has more than {MOST_LINKS} linked folders below it", field="source")
                ahead.append((path, (*through, real)))


def state_of(folder: Path) -> str:
    """Changes with the files that lie in a folder itself."""
    seen = hashlib.sha256()
    for entry in sorted(_entries(folder), key=lambda one: one.name):
        try:
            found = entry.stat()
        except OSError:
            continue  # a link to nowhere
        seen.update(f"{entry.name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return seen.hexdigest()[:32]


def _entries(folder: Path) -> Sequence["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return ()  # a folder that may not be listed, such as lost+found


def _led(bounds: Bounds, link: Path) -> Path | None:
    try:
        return bounds.found(link)
    except OSError:
        return None


def _opened(base: Path, real: Path) -> int:
    """Open a file by way of each folder below `base`. Raises OSError, also for a link on the way."""
    *folders, name = real.relative_to(base).parts or (".",)
    here = os.open(base, _FOLDER)
    try:
        for one in folders:
            below = os.open(one, _FOLDER, dir_fd=here)
            os.close(here)
            here = below
        file = os.open(name, _FILE, dir_fd=here)
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(EINVAL, "not a file")
    return file
