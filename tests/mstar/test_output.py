"""What the commands print of themselves."""

import sys
from pathlib import Path

import pytest

from mstar.cli.output import program


def test_the_next_command_is_one_that_the_shell_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / ".venv" / "bin" / "mstar"
    script.parent.mkdir(parents=True)
    script.touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script), "demo"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == ".venv/bin/mstar"
    monkeypatch.setenv("PATH", str(script.parent))
    assert program() == "mstar"
    monkeypatch.setattr(sys, "argv", ["-c"])
    assert program() == "mstar"
