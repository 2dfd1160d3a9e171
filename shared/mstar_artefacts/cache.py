"""A folder of bounded size for copies of what is kept elsewhere, shared by the processes of one machine.

Each entry is a folder. Whoever reads or fills one holds it by a lock that ends with the process; what nobody holds goes
when there is no room, least recently used first. What this leaves out: what the copies are of (`remote`).
"""

import fcntl
import os
import shutil
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

SLACK = 0.05
"""Share of the limit by which the folder may grow before its size is looked up again: that reads every entry."""
STAGING = ".tmp-"
LOCK = ".lock"


class Hold:
    """An entry that stays until this is released or its process ends."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self._close = weakref.finalize(self, os.close, descriptor)

    def release(self) -> None:
        """Let it go; a second time does nothing."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Growth:
    """Says when a folder that is let grow to a limit must be looked at again."""

    def __init__(self, limit: int) -> None:
        # Looking costs a walk over all entries, so it is not done for every small file.
        self._slack = int(limit * SLACK)
        self.target = limit - self._slack
        """What to bring the folder down to, so that it can grow unseen and stay below the limit."""
        self._grown: int | None = None

    def due(self, wanted: int) -> bool:
        """Whether to look, now that this many bytes will be added. The first time it is."""
        if self._grown is None or self._grown + wanted > self._slack:
            self._grown = 0
            return True
        self._grown += wanted
        return False


class Cache:
    """Entries below `root`, of about `limit` bytes in all. Thread-safe, and safe among processes."""

    def __init__(self, root: Path, limit: int) -> None:
        self.root = root
        self._growth = Growth(limit)

    def hold(self, name: str) -> Hold:
        """The entry of this name, made where there is none, as the most recently used one."""
        folder = self.root / name
        # Made and held in one go: between the two another process could remove it as unused.
        with self._alone():
            folder.mkdir(exist_ok=True)
            held = _hold(folder)
        # Its time of change is when it was used last, for whoever makes room.
        os.utime(folder)
        return held

    @contextmanager
    def staging(self) -> Iterator[Hold]:
        """A new folder to fill. Unless it is kept, it is removed at the end."""
        folder = self.root / f"{STAGING}{uuid.uuid4().hex}"
        with self._alone():
            folder.mkdir()
            held = _hold(folder)
        try:
            yield held
        finally:
            held.release()
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, staged: Hold, name: str) -> None:
        """Make an entry of a filled folder, unless there is one."""
        with self._alone():
            if not (self.root / name).exists():
                staged.folder.rename(self.root / name)

    def make_room(self, wanted: int) -> None:
        """Remove what is not held, until this many bytes more are within the limit or nothing is left to remove.

        What is being filled counts for what was asked for when it was begun.
        """
        if not self._growth.due(wanted):
            return
        self.root.mkdir(parents=True, exist_ok=True)
        folders = [folder for folder in self.root.iterdir() if folder.is_dir()]
        entries = {folder: size_of(folder) for folder in folders if not folder.name.startswith(STAGING)}
        # Those that nobody holds were left by a process that was killed.
        for folder in set(folders) - set(entries):
            self._remove(folder)
        excess = sum(entries.values()) + wanted - self._growth.target
        for folder in sorted(entries, key=last_use):
            if excess <= 0:
                return
            if self._remove(folder):
                excess -= entries[folder]

    def drop(self, name: str) -> None:
        """Remove an entry, unless somebody holds it; nothing happens where there is none."""
        self._remove(self.root / name)

    def _remove(self, folder: Path) -> bool:
        """Whether the folder is gone; False while somebody holds it."""
        # Renamed under the lock and emptied outside of it: a checkpoint takes seconds to delete.
        gone = self.root / f"{STAGING}{uuid.uuid4().hex}"
        try:
            with self._alone(), _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
                folder.rename(gone)
        except BlockingIOError:
            return False
        except FileNotFoundError:
            return True
        shutil.rmtree(gone, ignore_errors=True)
        return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Alone among all who make, rename or remove entries; each of these takes an instant."""
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / LOCK).touch()
        with _locked(self.root / LOCK, fcntl.LOCK_EX):
            yield


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Alone among those who hold this entry, to fill it."""
    (folder / LOCK).touch()
    with _locked(folder / LOCK, fcntl.LOCK_EX):
        yield


def size_of(folder: Path) -> int:
    """Bytes of all files below; files that go meanwhile count for nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue
    return total


def last_use(path: Path) -> float:
    """When it was used, for an order; 0 for what has gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _hold(folder: Path) -> Hold:
    # flock belongs to the open file, so the kernel drops it with the process, however that ends.
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return Hold(folder, descriptor)


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
