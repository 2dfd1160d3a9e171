"""Temporary files of dead processes go; those of living ones and of strangers stay."""

import os
import subprocess
import sys
from pathlib import Path

from mstar.leftovers import collect, owned_prefix, temporary_folder


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


def test_a_folder_goes_with_its_block_or_with_the_next_one_of_its_kind() -> None:
    code = (
        "import os, signal\n"
        "from mstar.leftovers import temporary_folder\n"
        "with temporary_folder('mstar-y-') as folder:\n"
        "    print(folder, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    left = Path(
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout[:-1]
    )
    assert left.is_dir()
    with temporary_folder("mstar-y-") as folder:
        assert folder.is_dir() and not left.exists()
    assert not folder.exists()
