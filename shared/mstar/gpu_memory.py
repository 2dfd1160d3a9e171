"""Memory of the GPUs that this process may use, as `nvidia-smi` tells it.

A program of its own is asked: CUDA would give a process that computes nothing some hundred megabytes of each GPU. What
this leaves out: the memory that a run will need (`memory_plan`).
"""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from pydantic import Field

from mstar.errors import MstarError
from mstar.types import Frozen

MIB = 2**20
ANSWER_SECONDS = 10.0
"""For `nvidia-smi`, which waits for a driver that is in trouble."""
KEPT_SECONDS = 5.0
"""How long a reading is told before it is taken again."""


class GpuMemory(Frozen):
    """Bytes of some GPUs together, whichever process holds them."""

    used: int = Field(ge=0)
    total: int = Field(gt=0)


ReadGpuMemory = Callable[[], GpuMemory | None]
"""None where there is no GPU, or nothing tells."""


def together(parts: Iterable[GpuMemory | None]) -> GpuMemory | None:
    """The sum of those that are known."""
    known = [part for part in parts if part is not None]
    return GpuMemory(used=sum(one.used for one in known), total=sum(one.total for one in known)) if known else None


def read_gpu_memory(environment: Mapping[str, str] = os.environ, seconds: float = ANSWER_SECONDS) -> GpuMemory | None:
    """What the GPUs of `CUDA_VISIBLE_DEVICES` hold, or all of them where it is not set.

    None where there is no `nvidia-smi` or it gives no numbers, as for a part of a GPU (MIG).
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if program is None or visible == "":
        return None
    which = [] if visible is None else ["--id", visible]
    command = [program, "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits", *which]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True)
        return together(_line(line) for line in done.stdout.splitlines() if line.strip())
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _line(line: str) -> GpuMemory:
    used, total = (int(part) * MIB for part in line.split(","))
    return GpuMemory(used=used, total=total)


class LatestGpuMemory:
    """The last reading, which nobody waits for: it is renewed in the background when it is asked for and old."""

    def __init__(self, read: ReadGpuMemory = read_gpu_memory, clock: Callable[[], float] = time.monotonic) -> None:
        """`read` may raise an MstarError, which is told as None."""
        self._read, self._clock = read, clock
        self._value: GpuMemory | None = None
        self._due = clock()
        self._reading = False
        self._lock = threading.Lock()

    def __call__(self) -> GpuMemory | None:
        """What was read last; None at first."""
        with self._lock:
            if not self._reading and self._clock() >= self._due:
                self._reading = True
                threading.Thread(target=self._renew, name="gpu-memory", daemon=True).start()
            return self._value

    def _renew(self) -> None:
        value = None
        try:
            value = self._read()
        except MstarError:
            # The service that was asked is away; its own requests tell so.
            pass
        finally:
            with self._lock:
                self._value, self._due, self._reading = value, self._clock() + KEPT_SECONDS, False
