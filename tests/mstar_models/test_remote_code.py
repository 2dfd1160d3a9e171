"""Code from a folder is what was compared with the digest, or it does not run."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mstar.errors import Forbidden, InvalidInput
from mstar_models.remote_code import allow_code, code_digest, main, read_code, trusted_class


@pytest.fixture(autouse=True)
def nothing_allowed() -> Iterator[None]:
    yield
    allow_code("")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    (made / "config.json").write_text(json.dumps({"model_type": "odd", "auto_map": {"AutoModel": "modeling.Model"}}))
    (made / "modeling.py").write_text("from .parts import NAME\n\n\nclass Model:\n    name = NAME\n")
    (made / "parts.py").write_text(f"NAME = {str(tmp_path)!r}\n")
    return made


def entry(folder: Path) -> str:
    return f"odd={folder}@{code_digest(read_code(folder))}"


def test_modules_of_the_folder_find_each_other(folder: Path, tmp_path: Path) -> None:
    allow_code(entry(folder))
    assert trusted_class("odd", "AutoModel").name == str(tmp_path)
    assert trusted_class("odd", "AutoTokenizer") is None
    assert not list(folder.rglob("*.pyc")), "nothing is written"


def test_what_the_command_prints_allows_the_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(folder)])
    printed = capsys.readouterr().out.strip()
    assert printed == entry(folder)
    allow_code(printed)
    assert trusted_class("odd", "AutoModel")
    with pytest.raises(SystemExit, match="usage"):
        main([str(folder / "config.json")])


def test_the_digest_depends_on_names_and_on_where_a_file_ends() -> None:
    one = code_digest({"a.py": b"x", "b.py": b"y"})
    assert one == code_digest({"b.py": b"y", "a.py": b"x"})
    assert len({one, code_digest({"a.py": b"xy", "b.py": b""}), code_digest({"a.py": b"x", "c.py": b"y"})}) == 3


def test_other_code_than_was_allowed_never_runs(folder: Path) -> None:
    allow_code(entry(folder))
    (folder / "parts.py").write_text("raise SystemExit('it ran')\n")
    with pytest.raises(Forbidden, match=r"has the digest sha256:.* look at what changed, then allow the new one"):
        trusted_class("odd", "AutoModel")
    with pytest.raises(Forbidden, match="models of type 'other' need code from a folder"):
        trusted_class("other", "AutoModel")


@pytest.mark.parametrize("named", ["other/repo--modeling.Model", "../modeling.Model", "modeling", "os.path.join", 3])
def test_only_a_class_of_the_folders_own_modules_is_named(folder: Path, named: object) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "odd", "auto_map": {"AutoModel": named}}))
    allow_code(entry(folder))
    with pytest.raises(InvalidInput, match="auto_map"):
        trusted_class("odd", "AutoModel")


def test_a_module_that_is_not_there_is_said_so(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "odd", "auto_map": {"AutoModel": "os.PathLike"}}))
    allow_code(entry(folder))
    with pytest.raises(InvalidInput, match=r"has no os\.py, which auto_map names"):
        trusted_class("odd", "AutoModel")


def test_links_out_of_the_folder_are_not_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("")
    (folder / "more.py").symlink_to(tmp_path / "outside.py")
    with pytest.raises(InvalidInput, match=r"more\.py of .* is a link out of it"):
        read_code(folder)
    with pytest.raises(InvalidInput, match="holds no code"):
        read_code(tmp_path / "nothing")


def test_what_is_no_file_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.py")
    with pytest.raises(InvalidInput, match=r"pipe\.py of .* is a link out of it, no file"):
        read_code(folder)
    (folder / "pipe.py").unlink()
    (folder / "circle.py").symlink_to(folder / "circle.py")
    with pytest.raises(InvalidInput, match=r"circle\.py of .* is a link out of it, no file"):
        read_code(folder)


def test_a_link_to_a_snapshots_blob_is_read(tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / "1", tmp_path / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "0a").write_text("X = 1\n")
    (snapshot / "modeling.py").symlink_to(blobs / "0a")
    assert read_code(snapshot) == {"modeling.py": b"X = 1\n"}
