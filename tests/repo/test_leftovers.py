"""A run of tests leaves the folder for temporary files as it found it, and no handler of logs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATHS = (ROOT / "shared", ROOT / "services", ROOT / "tests" / "support")
UNTIDY = """
import logging, subprocess, sys, tempfile
from pathlib import Path
from mstar_web.logs import configure_logs

def test_untidy(tmp_path):
    (tmp_path / "x").touch()
    tempfile.mkdtemp()
    Path(tempfile.gettempdir(), "left.sock").touch()
    subprocess.run([sys.executable, "-c", "import tempfile; tempfile.mkdtemp()"], check=True)
    configure_logs("bench")

def test_next():
    handlers = logging.getLogger().handlers
    assert [one for one in handlers if not type(one).__module__.startswith("_pytest")] == []
"""


def test_what_tests_leave_goes_with_them(tmp_path: Path) -> None:
    tests, temporary = tmp_path / "tests", tmp_path / "temporary"
    tests.mkdir()
    temporary.mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", tests)
    (tests / "test_untidy.py").write_text(UNTIDY)
    environment = {key: value for key, value in os.environ.items() if key != "MSTAR_TESTS_TMPDIR"}
    environment |= {"TMPDIR": str(temporary), "PYTHONPATH": ":".join(map(str, PATHS))}
    # Several processes, as `make test` has them.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", tests]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout[-2000:]
    assert list(temporary.iterdir()) == []
    assert "Logging error" not in ended.stderr
