"""An interpreter takes compiled code that was lent to it, except for sources that differ."""

import os
import shutil
import subprocess
from importlib.metadata import distribution
from pathlib import Path

from borrowed_code import lend
from warm_starts import COLD_PYTHON


def test_what_is_lent_is_used_for_equal_sources_only(tmp_path: Path) -> None:
    packages, prefix = tmp_path / "packages", tmp_path / "compiled"
    shutil.copytree(str(distribution("iniconfig").locate_file("iniconfig")), packages / "iniconfig")
    shutil.rmtree(packages / "iniconfig" / "__pycache__", ignore_errors=True)
    with (packages / "iniconfig" / "exceptions.py").open("a") as file:
        file.write("\nCHANGED = True\n")
    lend({"iniconfig"}, packages, prefix)
    lent = {path.name.partition(".")[0] for path in prefix.rglob("*.pyc")}
    assert {"__init__", "exceptions"} <= lent
    program = "import iniconfig.exceptions as e; assert e.CHANGED and 'packages' in e.__file__"
    environment = {"PYTHONPATH": str(packages), "PYTHONPYCACHEPREFIX": str(prefix), "PATH": os.defpath}
    command = [COLD_PYTHON, "-B", "-v", "-c", program]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr
    place = prefix.joinpath(*packages.parts[1:], "iniconfig")
    assert f"# code object from '{place / '__init__'}" in said
    assert f"# code object from '{place / 'exceptions'}" not in said
