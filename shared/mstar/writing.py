"""Errors for files that cannot be written, each with its remedy: disk space, or a permission."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mstar.errors import NotWritable, StorageFull

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def not_written(error: OSError, path: Path) -> StorageFull | NotWritable:
    """What to raise where writing `path` failed with this error."""
    return refused(error, path) or NotWritable(f"{path} cannot be written: {error.strerror or error}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name `path` where the block finds no room or permission: a write that fails says itself neither file nor folder.

    Raises StorageFull or NotWritable; any other error rises as it is.
    """
    try:
        yield
    except OSError as error:
        if (found := refused(error, path)) is None:
            raise
        raise found from error


def refused(error: OSError, path: Path | None = None) -> StorageFull | NotWritable | None:
    """What to raise where the system has no room or denies a permission; None for any other error.

    `path`: what was written. The error's own path goes before it, which may be that of a folder above.
    """
    place = Path(error.filename) if isinstance(error.filename, str) else path
    if error.errno in FULL:
        name = path or place
        return StorageFull(f"no space left while writing {name.name if name else 'a file'}: free some disk")
    # Without a path it may be anything, such as an address that must not be connected to.
    if error.errno not in DENIED or place is None:
        return None
    if error.errno == errno.EROFS:
        return NotWritable(f"{place.parent} is on a file system that is mounted read-only: mount it for writing")
    return NotWritable(f"permission denied in {place.parent}: give the user of this process read and write permission")
