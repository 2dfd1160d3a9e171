"""The commands read within the data root: `mstar data inspect`, `import` and `export`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mstar.cli.main import app

PNG = (Path(__file__).parents[1] / "cases" / "formats" / "imagefolder" / "train" / "0.png").read_bytes()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A set whose images lie in another folder of the root: behind a link, and by way of `..`."""
    (tmp_path / "root" / "shared").mkdir(parents=True)
    (tmp_path / "root" / "shared" / "0.png").write_bytes(PNG)
    folder = tmp_path / "root" / "set"
    for split, name in (("train", "images/0.png"), ("validation", "../../shared/0.png")):
        (folder / split).mkdir(parents=True)
        record = {"file_name": name, "question": "q", "answer": 1}
        (folder / split / "metadata.jsonl").write_text(json.dumps(record) + "\n")
    (folder / "train" / "images").symlink_to("../../shared")
    return folder


def command(*given: str | Path) -> tuple[str, str]:
    """What a command prints, wherever its lines end, and what it was refused for."""
    done = CliRunner().invoke(app, ["data", *map(str, given)])
    return " ".join(done.output.split()), getattr(done.exception, "detail", "")


def test_a_set_with_a_shared_folder_is_shown_imported_and_exported(source: Path, tmp_path: Path) -> None:
    root = ("--data-root", source.parent)
    assert "train 1, validation 1" in command("inspect", source, *root)[0]
    assert command("import", source, "--as", tmp_path / "in", *root)[1] == ""
    assert len(list((tmp_path / "in").glob("*/images/*.png"))) == 2
    assert command("export", source, "--as", tmp_path / "out", "--layout", "ms-swift", *root)[1] == ""
    assert [path.read_bytes() for path in (tmp_path / "out" / "images").iterdir()] == [PNG]


@pytest.mark.parametrize("root", ["set", "elsewhere"])
def test_what_leads_out_of_the_root_is_refused_and_leaves_nothing(source: Path, tmp_path: Path, root: str) -> None:
    (tmp_path / "root" / "elsewhere").mkdir()
    bound = ("--data-root", source.parent / root)
    shown, _ = command("inspect", source, *bound)
    assert "train/metadata.jsonl line 1: image images/0.png lies outside of the data set's folder and of" in shown
    for how in (("import", source, "--as"), ("export", source, "--layout", "ms-swift", "--as")):
        _, said = command(*how, tmp_path / "out", *bound)
        assert "image images/0.png lies outside of the data set's folder and of the data root" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root"]
