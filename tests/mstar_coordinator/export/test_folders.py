"""Folders and texts that appear whole or not at all."""

from pathlib import Path

import pytest

from mstar_coordinator.export.folders import replace_folder, replace_text


def test_a_folder_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "policy"
    replace_folder(target, lambda folder: _write(folder / "old"))
    replace_folder(target, lambda folder: _write(folder / "new"))
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["policy"]


def test_a_failed_filling_keeps_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "policy"
    replace_folder(target, lambda folder: _write(folder / "old"))

    def fail(folder: Path) -> None:
        _write(folder / "half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        replace_folder(target, fail)
    assert [path.name for path in target.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["policy"]


def test_text_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    for text in ("first", "second \N{MINUS SIGN}"):
        replace_text(target, text)
    assert target.read_text(encoding="utf-8") == "second \N{MINUS SIGN}"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def _write(path: Path) -> None:
    path.write_text("x", encoding="utf-8")
