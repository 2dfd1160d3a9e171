"""Images are stored once under the hash of their bytes."""

import errno
import hashlib
from pathlib import Path

import pytest

from mstar.errors import CorruptArtefact, NotFound, NotWritable
from mstar_artefacts.durable import sync_all
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


def test_all_that_was_put_is_on_the_disk_once_it_is_settled(tmp_path: Path) -> None:
    synced: list[set[str]] = []

    def sync(folder: Path) -> None:
        synced.append({path.stem for path in folder.rglob("*.img")})

    ImageStore(tmp_path).put(b"of a writer that has not settled")
    store = ImageStore(tmp_path, sync)
    store.settle()
    assert synced == [], "nothing was put"
    digests = {store.put(data) for data in (b"one", b"two", b"of a writer that has not settled")}
    store.settle()
    store.settle()
    assert synced == [digests]


def test_a_disk_that_does_not_take_what_was_put_is_told(tmp_path: Path) -> None:
    def sync(folder: Path) -> None:
        raise OSError(errno.EIO, "Input/output error", str(folder))

    store = ImageStore(tmp_path, sync)
    store.put(b"picture")
    for _ in range(2):
        with pytest.raises(NotWritable, match="cannot be written: Input/output error"):
            store.settle()


def test_a_file_system_is_synced(tmp_path: Path) -> None:
    sync_all(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_all(tmp_path / "nowhere")


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
