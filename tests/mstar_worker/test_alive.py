"""The check that containers run: it sees a living worker, an old file and none at all."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mstar_worker.alive import LIMIT_SECONDS


def asked(folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(folder)}
    command = [sys.executable, "-m", "mstar_worker.alive"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize(
    ("ages", "said"),
    [
        ([], "no worker is running here"),
        ([LIMIT_SECONDS + 40], "has not touched its file for 1"),
        ([0], None),
        ([LIMIT_SECONDS + 40, 0], None),
    ],
)
def test_the_youngest_file_decides(tmp_path: Path, ages: list[float], said: str | None) -> None:
    for i, age in enumerate(ages):
        file = tmp_path / f"mstar-worker-{i}.alive"
        file.touch()
        os.utime(file, (time.time() - age,) * 2)
    done = asked(tmp_path)
    assert (done.returncode == 0) is (said is None)
    assert said is None or said in done.stderr


def test_the_check_loads_no_celery() -> None:
    code = "import sys, mstar_worker.alive; sys.exit('celery' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
