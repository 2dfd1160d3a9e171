"""A worker has no port to ask, so it touches a file while it lives; `python -m mstar_worker.alive` looks at it.

For containers, where one worker is all there is: elsewhere the answer is that some worker of this machine lives. What
this leaves out: who touches when, which is in `pulse.py`.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

PREFIX, SUFFIX = "mstar-worker-", ".alive"
BEAT_SECONDS = 5.0
LIMIT_SECONDS = 60.0
"""A file that is older says that its worker hangs."""


def own_file() -> Path:
    """The file that this process touches."""
    return Path(tempfile.gettempdir()) / f"{PREFIX}{os.getpid()}{SUFFIX}"


def youngest() -> float | None:
    """Seconds since a worker of this machine last touched its file; None when there is none."""
    ages = [time.time() - file.stat().st_mtime for file in Path(tempfile.gettempdir()).glob(f"{PREFIX}*{SUFFIX}")]
    return min(ages, default=None)


def main() -> None:
    """End with code 0 when a worker lives, and with 1 and a line when none does."""
    age = youngest()
    if age is None:
        sys.exit("no worker runs here")
    if age > LIMIT_SECONDS:
        sys.exit(f"the worker has not moved for {age:.0f} s")


if __name__ == "__main__":
    main()
