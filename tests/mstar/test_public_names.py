"""What `from mstar import …` gives."""

import subprocess
import sys

import mstar


def test_every_public_name_is_there() -> None:
    assert mstar.__all__ == sorted(mstar.__all__)
    assert all(getattr(mstar, name).__name__ == name for name in mstar.__all__)
    assert not hasattr(mstar, "nothing")


def test_the_rules_come_without_the_client_s_library() -> None:
    code = "import sys, mstar.recipes; sys.exit('httpx2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
