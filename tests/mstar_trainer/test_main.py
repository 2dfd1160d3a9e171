"""The trainer as a process: what cannot start says why in one line, as a worker and as a Job."""

import os
import subprocess
import sys

import pytest

from warm_starts import COLD_PYTHON


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        ([], {}, "MSTAR_TRAINER_BROKER_URL: Field required"),
        (
            [],
            {"MSTAR_TRAINER_BROKER_URL": "memory://", "MSTAR_TRAINER_HOEM": "x"},
            "setting MSTAR_TRAINER_HOEM",
        ),
        (["job"], {}, "MSTAR_TRAINER_STEP: Field required"),
        (["job"], {"MSTAR_TRAINER_STEP": "s", "MSTAR_TRAINER_NODES": "two"}, "MSTAR_TRAINER_NODES: Input should be"),
        (["jobs"], {}, "usage: python -m mstar_trainer [job]"),
    ],
)
def test_what_cannot_start_says_why_in_one_line(arguments: list[str], variables: dict[str, str], message: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MSTAR_")}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path)} | variables
    command = [COLD_PYTHON, "-m", "mstar_trainer", *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert message in ended.stderr
    assert len((ended.stdout + ended.stderr).splitlines()) == 1
