"""Temporary files of dead processes go; those of living ones and of strangers stay."""

import os
import subprocess
import sys
from pathlib import Path

from mstar.leftovers import collect, owned_prefix


def test_only_what_dead_processes_own_is_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = tmp_path / f"mstar-x-{gone.pid}-abc"
    (dead / "inner").mkdir(parents=True)
    dead_file = tmp_path / f"mstar-x-{gone.pid}.alive"
    dead_file.touch()
    kept = [tmp_path / f"{owned_prefix('mstar-x-')}abc", tmp_path / "mstar-x-abc", tmp_path / f"other-{gone.pid}-a"]
    for path in kept:
        path.mkdir()
    assert set(collect("mstar-x-", tmp_path)) == {dead, dead_file}
    assert set(tmp_path.iterdir()) == set(kept)
    assert owned_prefix("a-") == f"a-{os.getpid()}-"
