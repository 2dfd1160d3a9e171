"""Artefacts appear whole or not at all, never change, and a wrong byte is found."""

import errno
import hashlib
import json
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError

from mstar.errors import CorruptArtefact, InvalidInput, NotFound, NotWritable, StorageFull
from mstar.steps import ArtefactRef
from mstar.types import Verdict
from mstar_artefacts.digests import PARALLEL_BYTES
from mstar_artefacts.durable import write_json
from mstar_artefacts.manifests import MANIFEST, FileEntry
from mstar_artefacts.store import ROWS, TABLE, ArtefactStore

ROWS_OF_TEST = [Verdict(correct=True, extracted="4"), Verdict(correct=False)]


def test_rows_come_back_as_written(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    ref = store.write_rows("r-1/it01/generate/0000", ROWS_OF_TEST, {"why": "test"})
    assert list(store.rows(ref, Verdict)) == ROWS_OF_TEST
    assert store.manifest(ref).metadata == {"why": "test"}
    assert store.find("r-1/it01/generate/0000") == ref


def test_equal_rows_give_equal_artefacts(tmp_path: Path) -> None:
    first = ArtefactStore(tmp_path / "a").write_rows("x", ROWS_OF_TEST, {})
    second = ArtefactStore(tmp_path / "b").write_rows("x", ROWS_OF_TEST, {})
    assert first == second


def test_a_failed_writer_leaves_nothing(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        ArtefactStore(tmp_path).write("x", fill, {})
    assert list(tmp_path.iterdir()) == []


def test_the_second_writer_adopts_the_first(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    barrier = threading.Barrier(8)
    refs: list[ArtefactRef] = []

    def fill(folder: Path) -> None:
        barrier.wait()
        (folder / "who").write_text(str(threading.get_ident()))

    threads = [threading.Thread(target=lambda: refs.append(store.write("x", fill, {}))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refs) == 8 and len(set(refs)) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    store.verify(refs[0])


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    ref = store.write_rows("x", ROWS_OF_TEST, {})
    path = tmp_path / "x" / f"{ROWS}{TABLE}"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptArtefact, match=f"{ROWS}{TABLE}"):
        list(store.rows(ref, Verdict))
    (tmp_path / "x" / MANIFEST).write_text("{}")
    with pytest.raises(CorruptArtefact, match="manifest"):
        store.manifest(ref)


def model_and_optimizer(folder: Path) -> None:
    for name in ("model/weights.safetensors", "model/config.json", "optimizer/0.safetensors"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)


@pytest.mark.parametrize("name", ["model/more.safetensors", "model/deep/er/tokenizer.json", "notes.txt"])
def test_what_the_manifest_does_not_list_is_found(tmp_path: Path, name: str) -> None:
    store = ArtefactStore(tmp_path)
    ref = store.write("r/train", model_and_optimizer, {})
    (tmp_path / ref.id / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / ref.id / name).write_text("not ours")
    with pytest.raises(CorruptArtefact, match=f"holds {name}, which its manifest does not list: remove it"):
        store.verify(ref)
    if name.startswith("model/"):
        with pytest.raises(CorruptArtefact, match="does not list"):
            store.verify(ref, "model")
    store.verify(ref, "optimizer")


@pytest.mark.parametrize("damage", ["bit", "truncated", "no file", "manifest", "no manifest", "manifest bytes"])
def test_what_an_attempt_left_damaged_is_made_again(tmp_path: Path, damage: str) -> None:
    store = ArtefactStore(tmp_path)
    ref = store.write_rows("r/it01/select/0000", ROWS_OF_TEST, {})
    assert store.adopt(ref.id) == ref
    folder = tmp_path / ref.id
    file = folder / (MANIFEST if "manifest" in damage else f"{ROWS}{TABLE}")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    changes = {"bit": bytes(data), "truncated": bytes(data[:-5]), "manifest": b"{}", "manifest bytes": b"\xff"}
    if damage in changes:
        file.write_bytes(changes[damage])
    else:
        file.unlink()
    assert store.adopt(ref.id) is None
    assert list(folder.parent.iterdir()) == [], "nothing of it stays"
    assert store.write_rows(ref.id, ROWS_OF_TEST, {}) == ref == store.adopt(ref.id)


@pytest.mark.parametrize("linked", ["model/config.json", "model", "model/new.json", "model/new"])
def test_links_count_as_damage(tmp_path: Path, linked: str) -> None:
    store = ArtefactStore(tmp_path / "home")
    ref = store.write("train", model_and_optimizer, {})
    place = store.path(ref.id) / linked
    elsewhere = tmp_path / "elsewhere"
    if place.exists():
        place.rename(elsewhere)
    else:
        elsewhere.mkdir()
    place.symlink_to(elsewhere)
    with pytest.raises(CorruptArtefact):
        store.verify(ref, "model")


def test_a_link_is_never_sealed(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="passwd is a link"):
        ArtefactStore(tmp_path).write("x", lambda folder: (folder / "passwd").symlink_to("/etc/passwd"), {})


def test_other_artefacts_below_and_hidden_files_are_no_damage(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    ref = store.write("it01/select", model_and_optimizer, {})
    below = store.write_rows("it01/select/shards/0001", ROWS_OF_TEST, {})
    (store.path(ref.id) / ".nfs0001").write_text("open elsewhere")
    store.verify(ref)
    store.verify(below)


def test_manifests_of_before_are_read(tmp_path: Path) -> None:
    """They have SHA-256 digests, under that name."""
    store = ArtefactStore(tmp_path)
    ref = store.write("x", model_and_optimizer, {})
    path = store.path(ref.id) / MANIFEST
    manifest = json.loads(path.read_text())
    assert all(one["digest"].startswith("blake3:") for one in manifest["files"])
    for one in manifest["files"]:
        del one["digest"]
        one["sha256"] = hashlib.sha256((store.path(ref.id) / one["name"]).read_bytes()).hexdigest()
    path.write_text(json.dumps(manifest))
    before = ArtefactRef(id="x", sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    store.verify(before)
    (store.path(ref.id) / "model" / "config.json").write_text("model/config.jsom")
    with pytest.raises(CorruptArtefact, match=r"config\.json"):
        store.verify(before)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a//b", "a/./b", "", "a\\b"])
def test_a_manifest_cannot_name_a_file_elsewhere(name: str) -> None:
    with pytest.raises(ValidationError, match="plain relative path"):
        FileEntry(name=name, bytes=1, digest=f"blake3:{'0' * 64}")


def test_a_part_is_verified_by_itself_and_many_files_at_once(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)

    def fill(folder: Path) -> None:
        for name in ("model", "optimizer"):
            (folder / name).mkdir()
            for number in range(9):
                (folder / name / f"{number}.safetensors").write_bytes(bytes([number]) * (PARALLEL_BYTES // 8))

    ref = store.write("r/train", fill, {})
    (store.path(ref.id) / "optimizer" / "3.safetensors").write_bytes(b"other")
    assert store.verify(ref, "model") == store.path(ref.id) / "model"
    with pytest.raises(CorruptArtefact, match=r"optimizer/3\.safetensors"):
        store.verify(ref)
    (store.path(ref.id) / "model" / "8.safetensors").unlink()
    with pytest.raises(CorruptArtefact, match=r"model/8\.safetensors"):
        store.verify(ref, "model")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"id": "r/s"}', b"\xff", b'{"id": "r/s", "files": [{"name": "../x"}]}']
)
def test_what_is_no_manifest_is_damage_though_its_hash_is_right(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "r" / "s"
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(CorruptArtefact, match="is not a manifest"):
        ArtefactStore(tmp_path).verify(ArtefactRef(id="r/s", sha256=hashlib.sha256(content).hexdigest()))


def test_a_folder_in_place_of_a_manifest_is_damage_too(tmp_path: Path) -> None:
    (tmp_path / "r" / "s" / MANIFEST).mkdir(parents=True)
    (tmp_path / "r" / "file").write_bytes(b"x")
    with pytest.raises(CorruptArtefact, match="is a folder"):
        ArtefactStore(tmp_path).manifest(ArtefactRef(id="r/s", sha256="0" * 64))
    with pytest.raises(NotFound):
        ArtefactStore(tmp_path).manifest(ArtefactRef(id="r/file/s", sha256="0" * 64))


def test_an_artefact_that_is_not_there(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    assert store.find("nothing") is None
    with pytest.raises(NotFound):
        store.verify(ArtefactRef(id="nothing", sha256="0" * 64))


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a//b", "a/../b", "", ".", "a\\b", "a\x00b", ".tmp-x", "a" * 161, "é", "a/" * 8 + "a"]
)
def test_an_id_cannot_leave_the_root(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput):
        ArtefactStore(tmp_path).path(name)


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")

    with pytest.raises(StorageFull, match="free some disk"):
        ArtefactStore(tmp_path).write("x", fill, {})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_permission_is_named_with_its_folder(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/data/set/0.png")

    with pytest.raises(NotWritable, match="permission denied in /data/set: give the user of this process"):
        ArtefactStore(tmp_path).write("x", fill, {})
    assert list(tmp_path.iterdir()) == []


def test_write_json_replaces_whole(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 2})
    assert path.read_text() == '{\n  "a": 2\n}'
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_files_of_an_artefact_are_for_all_whom_the_umask_lets(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "model").mkdir()
        (folder / "model" / "plain.json").write_text("{}")
        # As safetensors leaves its files.
        (folder / "model" / "weights.safetensors").touch(mode=0o600)

    ref = ArtefactStore(tmp_path).write("r1/it01/train", fill, {})
    folder = ArtefactStore(tmp_path).path(ref.id)
    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    (tmp_path / "beside").touch()
    assert modes == {(tmp_path / "beside").stat().st_mode & 0o777}


def test_the_hash_of_another_manifest_is_the_callers_fault_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    ref = store.write_rows("x", ROWS_OF_TEST, {})
    store.require_named(ref)
    store.require_named(ArtefactRef(id="y", sha256="0" * 64))
    with pytest.raises(InvalidInput, match=f"manifest_sha256: .* has the hash {ref.sha256}") as refused:
        store.require_named(ArtefactRef(id="x", sha256="0" * 64))
    assert refused.value.field == "manifest_sha256"
    manifest = tmp_path / "x" / MANIFEST
    for damage in (b"", b"{}", manifest.read_bytes()[:-1], manifest.read_bytes().replace(b'"x"', b'"z"')):
        manifest.write_bytes(damage)
        with pytest.raises(CorruptArtefact):
            store.require_named(ref)
            store.verify(ref)


def test_a_manifest_that_is_a_folder_is_damage_wherever_it_is_looked_for(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    (tmp_path / "x" / MANIFEST).mkdir(parents=True)
    with pytest.raises(CorruptArtefact, match="is a folder"):
        store.find("x")
    assert store.adopt("x") is None and not (tmp_path / "x").exists()
