"""Partial checkpoints and files of killed writers are removed; what somebody writes, and what is whole, stays."""

import os
import time
from pathlib import Path

from mstar_artefacts.staging import collect_staging
from mstar_artefacts.store import ArtefactStore

HOUR = 3600.0


def put(path: Path, age: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    for one in (path, path.parent):
        os.utime(one, (time.time() - age,) * 2)
    return path


def test_a_partial_checkpoint_goes_once_nobody_has_written_to_it_for_an_hour(tmp_path: Path) -> None:
    old = put(tmp_path / "r-1/it01/.tmp-train-ab/model.safetensors", 2 * HOUR)
    young = put(tmp_path / "r-1/it02/.tmp-train-cd/model.safetensors", HOUR / 2)
    image = put(tmp_path / ".mstar/images/ab/.tmp-ef", 2 * HOUR)
    link = tmp_path / ".tmp-latest-x"
    link.symlink_to("r-1")
    assert set(collect_staging(tmp_path)) == {old.parent, image}
    assert young.exists() and not old.parent.exists() and not image.exists() and link.is_symlink()
    assert set(collect_staging(tmp_path, older_than=0)) == {young.parent, link}
    assert (tmp_path / "r-1").is_dir()


def test_a_file_far_below_keeps_its_folder(tmp_path: Path) -> None:
    put(tmp_path / "r/.tmp-train-ab/model/one", 2 * HOUR)
    put(tmp_path / "r/.tmp-train-ab/optimizer/two", 0)
    assert collect_staging(tmp_path) == []


def test_whole_artefacts_stay_as_they_are(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    ref = store.write("r/one", lambda folder: (folder / "rows").touch(), {})
    collect_staging(tmp_path, older_than=0)
    assert store.damage(ref) is None
