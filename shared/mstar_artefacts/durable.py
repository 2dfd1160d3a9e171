"""Files that are on the disk before anybody relies on them, and what a disk that refuses them is called."""

import ctypes
import json
import os
import uuid
from pathlib import Path
from typing import Any

from mstar.errors import StorageFull
from mstar.writing import FULL, refused


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file in one rename, so a reader sees the old or the new one whole."""
    staging = path.with_name(f".tmp-{path.name}-{uuid.uuid4().hex}")
    try:
        write_durably(staging, json.dumps(value, indent=2, allow_nan=False).encode())
        staging.replace(path)
    except OSError as error:
        staging.unlink(missing_ok=True)
        raise translated(error, path.name) from error


def write_durably(path: Path, data: bytes) -> None:
    """Write a file and wait until its content is on the disk."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def fsync(path: Path) -> None:
    """Wait until a file is on the disk, or the names in a folder: a new name is durable only once its folder is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(folder: Path) -> None:
    """Wait until everything that was written on the folder's file system is on the disk. Raises OSError.

    One call for thousands of files, which takes as long as a few calls of `fsync`.
    """
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        # Linux alone has it.
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def translated(error: OSError, name: str) -> Exception:
    """StorageFull where a disk is, NotWritable where a permission is missing, else the error itself."""
    if error.errno in FULL:
        return StorageFull(f"no space left while writing {name}: free some disk, then resume the run")
    return refused(error) or error
