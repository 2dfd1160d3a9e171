"""Collects temporary files of processes that were killed: their names carry the process id of their owner.

What this leaves out: files of an id that another process has by now, which stay until that one is gone.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def owned_prefix(prefix: str) -> str:
    """How the names of this process's temporary files with this prefix begin."""
    return f"{prefix}{os.getpid()}-"


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """A folder for the block, without those that killed processes have left under the same prefix."""
    collect(prefix)
    with tempfile.TemporaryDirectory(prefix=owned_prefix(prefix)) as folder:
        yield Path(folder)


def collect(prefix: str, folder: Path | None = None) -> list[Path]:
    """Remove files and folders `<prefix><process id>…` whose process is gone; returns what was removed.

    `folder`: where to look, by default the one for temporary files.
    """
    # Safe beside other processes: a name carries its owner's id, and only files of dead owners are touched.
    removed = []
    for path in (folder or Path(tempfile.gettempdir())).glob(f"{prefix}*"):
        owner = re.match(r"\d+(?=[-.])", path.name.removeprefix(prefix))
        if owner is None or _lives(int(owner[0])):
            continue
        # The temporary folder is shared: following a link that somebody else put there would empty their target.
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        removed.append(path)
    return removed


def _lives(pid: int) -> bool:
    try:
        # Signal 0 only asks. An id that was given to a new process keeps the files for as long as that one lives.
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        # Another user's, or no process id at all: not ours to remove.
        return True
    return True
