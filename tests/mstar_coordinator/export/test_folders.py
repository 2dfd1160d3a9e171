"""Folders and texts that appear whole or not at all."""

from pathlib import Path

import pytest

from mstar_coordinator.export.folders import digest_of_all, replace_folder, replace_text


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


def test_a_digest_of_a_folder_tells_names_and_contents(tmp_path: Path) -> None:
    def made(**files: str) -> str | None:
        replace_folder(tmp_path / "set", lambda folder: [(folder / n).write_text(t) for n, t in files.items()] and None)
        return digest_of_all(tmp_path / "set")

    first = made(a="1", b="")
    assert first == made(b="", a="1")
    assert len({first, made(a="1"), made(a="2", b=""), made(a="1", c=""), made(a="", b="1")}) == 5
    assert digest_of_all(tmp_path / "set" / "a") not in (None, first)
    assert digest_of_all(tmp_path / "none") is None
