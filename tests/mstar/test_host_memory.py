"""Memory that has run out is told from other errors and other ends, and named with what helps."""

import errno
import signal
from pathlib import Path

import pytest

from mstar.errors import InvalidInput, Unavailable
from mstar.host_memory import Ending, is_exhausted, no_memory, oom_kills

TORCH = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "40000000000 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError(TORCH),
        Exception("Cannot allocate memory (os error 12)"),
    ],
)
def test_memory_that_is_used_up_is_told_with_a_remedy(error: Exception) -> None:
    assert is_exhausted(error)
    found = no_memory(error, "lower x")
    assert type(found) is Unavailable and found.retry_after
    assert found.detail.startswith("the memory of this machine or container is used up")
    assert found.detail.endswith(": lower x") and ("40000000000 bytes" in found.detail) is (str(error) == TORCH)


@pytest.mark.parametrize(
    "error", [RuntimeError("can't start new thread"), BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")]
)
def test_a_limit_of_processes_is_not_called_memory(error: Exception) -> None:
    assert is_exhausted(error)
    found = no_memory(error)
    assert found.detail.startswith("no further process or thread can be started") and found.retry_after


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "full"),
        RuntimeError("shape"),
        ValueError("allocate memory"),
        InvalidInput("the PRM says: Cannot allocate memory"),
    ],
)
def test_other_errors_are_no_lack_of_memory(error: Exception) -> None:
    assert not is_exhausted(error)


@pytest.mark.parametrize(
    ("code", "kills", "said"),
    [
        (3, [0, 1], "exit code 3"),
        (-signal.SIGTERM, [0, 1], "SIGTERM"),
        (-signal.SIGKILL, [4, 4], "SIGKILL"),
        (-signal.SIGKILL, [4, 5], "SIGKILL, since the machine or container had no memory left"),
        (-signal.SIGKILL, [None, None], "SIGKILL"),
        (-36, [0, 0], "signal 36"),
    ],
)
def test_the_end_of_a_process_is_told_with_its_reason(code: int, kills: list[int | None], said: str) -> None:
    counts = iter(kills)
    last = kills[-1]
    assert Ending(lambda: next(counts, last)).of(code) == said


def test_the_kernels_count_is_read_where_there_is_one(tmp_path: Path) -> None:
    counters = tmp_path / "vmstat"
    assert oom_kills(counters) is None
    counters.write_text("pgfault 3\noom_kill 7\noom_kill_other 9\n")
    assert oom_kills(counters) == 7
    counters.write_text("pgfault 3\n")
    assert oom_kills(counters) is None
