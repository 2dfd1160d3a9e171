"""Images are stored once under the hash of their bytes."""

import hashlib
from pathlib import Path

import pytest

from mstar.errors import CorruptArtefact, NotFound, NotWritable
from mstar_artefacts.images import ImageStore


def test_an_image_is_stored_once(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    digest = store.put(b"picture")
    assert digest == hashlib.sha256(b"picture").hexdigest() == store.put(b"picture")
    assert store.get(digest) == b"picture"
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 1


def test_an_unknown_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="0000"):
        ImageStore(tmp_path).get("0" * 64)


def test_an_image_that_a_power_cut_tore_is_written_anew(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    digest = store.put(b"picture")
    next(p for p in tmp_path.rglob("*.img")).write_bytes(b"")
    assert store.put(b"picture") == digest and store.get(digest) == b"picture"


def test_a_changed_image_is_found(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    digest = store.put(b"picture")
    next(p for p in tmp_path.rglob("*.img")).write_bytes(b"another")
    with pytest.raises(CorruptArtefact):
        store.get(digest)


def test_an_image_that_cannot_be_written_is_no_matter_of_room(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("a file where the folder should be")
    with pytest.raises(NotWritable, match="cannot be written: Not a directory"):
        ImageStore(tmp_path / "images").put(b"picture")
