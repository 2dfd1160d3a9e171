"""Memory of GPUs: what `nvidia-smi` tells, whatever it does, and a reading that nobody waits for."""

import os
import threading
from pathlib import Path

import pytest

from mstar.errors import Unavailable
from mstar.gpu_memory import KEPT_SECONDS, MIB, GpuMemory, LatestGpuMemory, read_gpu_memory, together

ONE = GpuMemory(used=5 * MIB, total=80 * MIB)


def machine(folder: Path, script: str, **variables: str) -> dict[str, str]:
    """The environment of a machine whose `nvidia-smi` is this shell script."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", **variables}


def test_gpus_are_added_up(tmp_path: Path) -> None:
    told = machine(tmp_path, "echo '1024, 81559'; echo '3, 81559'")
    assert read_gpu_memory(told) == GpuMemory(used=1027 * MIB, total=2 * 81559 * MIB)


def test_only_those_that_may_be_used_are_asked_for(tmp_path: Path) -> None:
    script = 'test "$3 $4" = "--id 1,3" || exit 6; echo "7, 9"'
    asked = machine(tmp_path, script, CUDA_VISIBLE_DEVICES="1,3")
    assert read_gpu_memory(asked) == GpuMemory(used=7 * MIB, total=9 * MIB)
    assert read_gpu_memory(asked | {"CUDA_VISIBLE_DEVICES": "0"}) is None
    assert read_gpu_memory(asked | {"CUDA_VISIBLE_DEVICES": ""}) is None


@pytest.mark.parametrize(
    "script",
    ["echo '[N/A], [N/A]'", "echo 'No devices were found'", "echo 5", "exit 9", "true", "echo '4, 0'", "sleep 30"],
)
def test_a_program_that_tells_nothing_is_no_error(tmp_path: Path, script: str) -> None:
    assert read_gpu_memory(machine(tmp_path, f"exec {script}" if "sleep" in script else script), seconds=0.5) is None


def test_a_machine_without_the_program_has_no_gpu(tmp_path: Path) -> None:
    assert read_gpu_memory({"PATH": str(tmp_path)}) is None


def test_of_several_services_the_known_ones_count() -> None:
    assert together([None, ONE, ONE]) == GpuMemory(used=10 * MIB, total=160 * MIB)
    assert together([None]) is None


def test_a_reading_is_not_waited_for_and_taken_again_when_it_is_old() -> None:
    now, began, may_end, readings = [0.0], threading.Semaphore(0), threading.Semaphore(0), []

    def slow() -> GpuMemory:
        began.release()
        may_end.acquire()
        readings.append(ONE)
        return ONE

    latest = LatestGpuMemory(slow, lambda: now[0])
    assert latest() is None and latest() is None
    began.acquire()
    may_end.release()
    while latest() is None:
        pass
    assert latest() == ONE and len(readings) == 1, "asked twice meanwhile, read once"
    now[0] += KEPT_SECONDS
    assert latest() == ONE
    began.acquire()
    may_end.release()


def test_a_service_that_is_away_is_asked_again_later() -> None:
    now, asked = [0.0], threading.Semaphore(0)

    def away() -> GpuMemory:
        asked.release()
        raise Unavailable("nobody listens")

    latest = LatestGpuMemory(away, lambda: now[0])
    for _ in range(3):
        # The time moves on at each look, since a reading ends a moment after it was begun.
        while not asked.acquire(timeout=0.01):
            now[0] += KEPT_SECONDS
            assert latest() is None
