"""Errors for files that cannot be written or opened, each with its remedy: disk space, a permission, a limit."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mstar.errors import NotWritable, StorageFull, Unavailable
from mstar.host_memory import system_number

FULL = (errno.ENOSPC, errno.EDQUOT)
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
EXHAUSTED = (errno.EMFILE, errno.ENFILE)
EXHAUSTED_RETRY = 2.0


def not_written(error: OSError, path: Path) -> StorageFull | NotWritable | Unavailable:
    """What to raise where writing `path` failed with this error."""
    return refused(error, path) or NotWritable(f"{path} cannot be written: {error.strerror or error}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name `path` where the block finds no room or permission: a write that fails says itself neither file nor folder.

    Raises StorageFull, NotWritable or Unavailable; any other error rises as it is.
    """
    try:
        yield
    except OSError as error:
        if (found := refused(error, path)) is None:
            raise
        raise found from error


def refused(error: OSError, path: Path | None = None) -> StorageFull | NotWritable | Unavailable | None:
    """What to raise where the system has no room, no file left or denies a permission; None for any other error.

    `path`: what was written. The error's own path goes before it, which may be that of a folder above.
    """
    number = system_number(error)
    if number in EXHAUSTED:
        detail = "too many files and connections are open: try again, or raise the limit (`ulimit -n`)"
        return Unavailable(detail, retry_after=EXHAUSTED_RETRY)
    place = Path(error.filename) if isinstance(error.filename, str) else path
    if number in FULL:
        return _full(path or place)
    if number == errno.EFBIG:
        named = "a file" if (path or place) is None else f"{path or place}"
        return StorageFull(f"{named} became larger than this process may write: raise the limit (`ulimit -f`)")
    # Without a path it may be anything, such as an address that must not be connected to.
    if number not in DENIED or place is None:
        return None
    if number == errno.EROFS:
        return NotWritable(f"{place.parent} is on a file system that is mounted read-only: mount it for writing")
    return NotWritable(f"permission denied in {place.parent}: give the user of this process read and write permission")


def _full(path: Path | None) -> StorageFull:
    # With the folder, since a machine has several disks, and the one for temporary files is seldom thought of.
    if path is None:
        where = f" while writing a file, perhaps a temporary one in {_temporary()}"
    else:
        folder = "" if path.parent == Path() else f" in {path.parent}"
        where = f"{folder} while writing {path.name}"
    return StorageFull(f"no space left{where}: free some disk")


def _temporary() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        # It looks for a folder where it can write.
        return os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - named, not used
