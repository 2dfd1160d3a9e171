"""Collects what writers left that were killed: files and folders under temporary names, partial checkpoints among them.

Nothing in a name says whether its writer lives, since that may be on another machine. But a writer touches what it
writes all the time, so what nothing below was written to for long is nobody's.
"""

import os
import shutil
import time
from pathlib import Path

from mstar_artefacts.manifests import MANIFEST

PREFIX = ".tmp-"
STALE_SECONDS = 3600.0
"""Longer than any writer pauses: a checkpoint's files are written one after another, and hashed at the end."""


def collect_staging(home: Path, older_than: float = STALE_SECONDS) -> list[Path]:
    """Remove temporary files and folders below a home that were not written to for this many seconds; what was removed.

    0 removes all of them, for one who knows that nobody writes. Whole artefacts are not looked into.
    """
    removed = []
    for place, folders, files in os.walk(home):
        here = Path(place)
        found = [here / name for name in (*folders, *files) if name.startswith(PREFIX)]
        # A run has thousands of whole artefacts, and nothing is written inside of one.
        whole = MANIFEST in files
        folders[:] = [] if whole else [name for name in folders if not name.startswith(PREFIX)]
        for path in found:
            if is_stale(path, older_than):
                _remove(path)
                removed.append(path)
    return removed


def is_stale(path: Path, older_than: float = STALE_SECONDS) -> bool:
    """Whether nothing at or below a path was written to for this many seconds, so that it has no writer."""
    return time.time() - _last_write(path) >= older_than


def _last_write(path: Path) -> float:
    """When anything at or below it was written to last."""
    times = [_modified(path)]
    for place, _, files in os.walk(path):
        times += [_modified(Path(place)), *(_modified(Path(place) / name) for name in files)]
    return max(times)


def _modified(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        # Renamed or removed by its writer meanwhile, who lives.
        return time.time()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
