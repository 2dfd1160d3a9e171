"""Memory or processes of the machine that have run out: how that shows in an error, and in the end of a process.

What this leaves out: memory of a GPU, for which torch has an error of its own.
"""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

from mstar.errors import MstarError, Unavailable

RETRY_SECONDS = 5.0
REMEDY = "give this service more memory, or its machine less to do"
_TORCH = "DefaultCPUAllocator"
"""Who raises a plain RuntimeError when the system refuses torch memory."""
_THREAD = "can't start new thread"
"""What Python says in a plain RuntimeError when the system refuses it a thread."""
CROWDED = (
    "no further process or thread can be started: try again, or raise the limit (`ulimit -u`, or what the container "
    "may have)"
)
_SYSTEM = os.strerror(errno.ENOMEM)
"""In errors of libraries that are not written in Python, such as safetensors, which have no number."""
_IN_TEXT = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Numbers that are looked for in texts, by the system's words for them."""
_COUNTERS = Path("/proc/vmstat")


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that the system has no memory for this process, or no further process or thread."""
    if isinstance(error, MemoryError):
        return True
    # What a service says of another's memory is no lack here.
    if isinstance(error, MstarError):
        return False
    if isinstance(error, OSError) and (number := system_number(error)) is not None:
        return number in (errno.ENOMEM, errno.EAGAIN)
    return any(mark in str(error) for mark in (_TORCH, _SYSTEM, _THREAD))


def system_number(error: OSError) -> int | None:
    """The system's number of an error; some libraries have it in their text alone: `Too many open files (24)`."""
    if error.errno is not None:
        return error.errno
    return next((number for number in _IN_TEXT if os.strerror(number) in str(error)), None)


def _is_crowded(error: BaseException) -> bool:
    # What must not wait says EAGAIN as well, but never to somebody who did not ask for that.
    return (isinstance(error, OSError) and system_number(error) == errno.EAGAIN) or _THREAD in str(error)


def no_memory(error: BaseException, remedy: str = REMEDY) -> Unavailable:
    """What to raise for such an error. As what may pass: others use the same memory. `remedy`: where it is memory."""
    if _is_crowded(error):
        return Unavailable(CROWDED, retry_after=RETRY_SECONDS)
    said = str(error).partition("you tried to allocate ")[2].partition(".")[0]
    asked = f" (it asked for {said})" if said else ""
    detail = f"the memory of this machine or container is used up{asked}: {remedy}"
    return Unavailable(detail, retry_after=RETRY_SECONDS)


def oom_kills(counters: Path = _COUNTERS) -> int | None:
    """How many processes the kernel has killed so far to get memory back; None where it does not tell."""
    try:
        lines = counters.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


class Ending:
    """Says how a process ended that is about to start."""

    def __init__(self, kills: Callable[[], int | None] = oom_kills) -> None:
        self._kills = kills
        self._before = kills()

    def starved(self, code: int) -> bool:
        """Whether it was killed to get memory back. `code`: what `subprocess` gives."""
        # The kernel counts for the whole machine, so a kill by hand beside another's want of memory is taken for one.
        now = self._kills()
        return code == -signal.SIGKILL and self._before is not None and now is not None and now > self._before

    def of(self, code: int) -> str:
        """`SIGTERM` or `exit code 3`; with the reason where memory ran out."""
        if code >= 0:
            return f"exit code {code}"
        # Not every number has a name, such as those of real-time signals.
        known = {one.value: one.name for one in signal.Signals}
        name = known.get(-code, f"signal {-code}")
        return f"{name}, since the machine or container had no memory left" if self.starved(code) else name
