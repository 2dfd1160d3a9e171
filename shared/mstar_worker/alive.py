"""Liveness check of a worker, which has no port: it touches a file, and `python -m mstar_worker.alive` reads its age.

Meant for containers with one worker each: with several on a machine it says that at least one is alive. What this
leaves out: when the file is touched, which is in `pulse.py`.
"""

import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PREFIX, SUFFIX = "mstar-worker-", ".alive"
BEAT_SECONDS = 5.0
LIMIT_SECONDS = 60.0
"""Age above which the worker counts as hung."""


def own_file() -> Path:
    """The file that this process touches."""
    return Path(tempfile.gettempdir()) / f"{PREFIX}{os.getpid()}{SUFFIX}"


def youngest() -> float | None:
    """Seconds since a worker of this machine last touched its file; None when there is none."""
    touched = []
    for file in Path(tempfile.gettempdir()).glob(f"{PREFIX}*{SUFFIX}"):
        # A worker that ends removes its file, perhaps in this moment.
        with suppress(FileNotFoundError):
            touched.append(file.stat().st_mtime)
    # By the wall clock, as the files' times are; a jump of it makes one check fail, and probes allow several.
    return time.time() - max(touched) if touched else None


def main() -> None:
    """Exit with code 0 when a worker is alive, and with 1 and a line when none is."""
    age = youngest()
    if age is None:
        sys.exit("no worker is running here")
    if age > LIMIT_SECONDS:
        sys.exit(f"the worker has not touched its file for {age:.0f} s")


if __name__ == "__main__":
    main()
