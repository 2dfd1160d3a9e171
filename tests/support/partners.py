"""Runs a script by the interpreter that has other people's packages, which `make partners` installs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def in_partner(package: str, script: Path, *arguments: str, **environment: str) -> Any:
    """What a script prints last, as JSON. Skips the test where the package was not installed."""
    python = Path(sys.prefix) / "partners" / "bin" / "python"
    # Some of them may be in the project's own environment, which that of the partners sees.
    imported = [python, "-c", f"import {package}"]
    if not python.exists() or subprocess.run(imported, capture_output=True, check=False).returncode:
        pytest.skip(f"{package} is not installed: `make partners` installs it")
    own = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in ("shared", "services")),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
        "HOME": os.environ.get("TMPDIR", "/tmp"),
    }
    ended = subprocess.run(
        [python, script, *arguments],
        env=own | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    return json.loads(ended.stdout.strip().splitlines()[-1])
