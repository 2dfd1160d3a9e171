"""The errors for files that cannot be written, each with what mends it: room, or a permission."""

import errno
from pathlib import Path

from mstar.errors import NotWritable, StorageFull

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def not_written(error: OSError, path: Path) -> StorageFull | NotWritable:
    """What to raise where writing `path` failed with this error."""
    if error.errno in FULL:
        return StorageFull(f"no space left while writing {path.name}: free some disk")
    if error.errno in DENIED:
        return denied(error, path)
    return NotWritable(f"{path} cannot be written: {error.strerror or error}")


def denied(error: OSError, path: Path) -> NotWritable:
    """What to raise where the system refuses `path` with one of DENIED. The error itself may know the path better."""
    folder = Path(error.filename).parent if isinstance(error.filename, str) else path.parent
    if error.errno == errno.EROFS:
        return NotWritable(f"{folder} is on a file system that is mounted read-only: mount it with write permission")
    return NotWritable(f"permission denied in {folder}: give the user of this process read and write permission there")
