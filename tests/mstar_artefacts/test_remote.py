"""Both adapters of artefacts and images keep the same promises; the remote one's cache is bounded and never trusted."""

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mstar.errors import CorruptArtefact, InvalidInput, NotFound, StorageFull, Unavailable
from mstar.steps import ArtefactRef
from mstar.types import Verdict
from mstar_artefacts.cache import Cache
from mstar_artefacts.images import ImageStore
from mstar_artefacts.manifests import MANIFEST
from mstar_artefacts.remote import RemoteArtefacts, RemoteImages
from mstar_artefacts.s3_objects import S3Objects
from mstar_artefacts.storage import Storage
from mstar_artefacts.store import ROWS, SCORES, TABLE, ArtefactStore
from s3_server import Bucket

VERDICTS = [Verdict(correct=True, extracted="4"), Verdict(correct=False)]
PLENTY = 10**9


@dataclass(frozen=True)
class Place:
    """One place for artefacts, seen from several machines."""

    machine: Callable[[str], Storage]
    spoil: Callable[[str, str, bytes | None], None]
    """Replace a file of an artefact, or remove it, where it is kept."""


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Place(lambda name: Storage(home=tmp_path), lambda *one: _spoil_file(tmp_path, *one))
    bucket: Bucket = request.getfixturevalue("bucket")
    return Place(lambda name: _machine(bucket, tmp_path / name), lambda *one: _spoil_object(bucket, *one))


def _machine(bucket: Bucket, home: Path) -> Storage:
    return Storage(home=home, remote=bucket.url, endpoint=bucket.endpoint)


def _spoil_file(home: Path, artefact: str, name: str, data: bytes | None) -> None:
    path = home / artefact / name
    path.unlink()
    if data is not None:
        path.write_bytes(data)


def _spoil_object(bucket: Bucket, artefact: str, name: str, data: bytes | None) -> None:
    (key,) = [key for key in bucket.names() if key.startswith(f"artefacts/{artefact}/{name}")]
    if data is None:
        bucket.remove(key)
    else:
        bucket.put(key, data)


def two_parts(folder: Path) -> None:
    for part in ("model", "optimizer"):
        (folder / part).mkdir()
        (folder / part / "0.safetensors").write_text(part)


def files_below(home: Path) -> list[str]:
    """Names of the files that a machine holds of artefacts."""
    return sorted(path.name for path in home.rglob("*") if path.is_file() and path.name != ".lock")


def test_rows_that_one_machine_writes_another_reads(place: Place) -> None:
    ref = place.machine("a").artefacts().write_rows("r-1/it01/generate/0000", VERDICTS, {"why": "test"})
    other = place.machine("b").artefacts()
    assert other.find("r-1/it01/generate/0000") == ref
    assert list(other.rows(ref, Verdict)) == VERDICTS
    assert list(other.rows(ref, Verdict, SCORES)) == []
    assert other.manifest(ref).metadata == {"why": "test"}


def test_both_places_name_equal_rows_alike(bucket: Bucket, tmp_path: Path) -> None:
    here = ArtefactStore(tmp_path / "a").write_rows("x", VERDICTS, {})
    assert _machine(bucket, tmp_path / "b").artefacts().write_rows("x", VERDICTS, {}) == here


def test_writers_at_once_agree_and_all_can_read_what_won(place: Place) -> None:
    barrier = threading.Barrier(6)
    refs: list[ArtefactRef] = []

    def write(number: int) -> None:
        def fill(folder: Path) -> None:
            (folder / "who").write_text(str(number))
            barrier.wait()

        refs.append(place.machine(str(number)).artefacts().write("x", fill, {}))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refs) == 6 and len(set(refs)) == 1
    said = {(place.machine(str(number)).artefacts().verify(refs[0]) / "who").read_text() for number in range(6)}
    assert len(said) == 1


def test_a_writer_that_fails_leaves_nothing_to_see(place: Place, tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise RuntimeError("killed")

    store = place.machine("a").artefacts()
    with pytest.raises(RuntimeError):
        store.write("x", fill, {})
    assert store.find("x") is None
    assert files_below(tmp_path) == []


def test_a_full_disk_says_so(place: Place) -> None:
    def fill(folder: Path) -> None:
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")

    with pytest.raises(StorageFull, match="free some disk"):
        place.machine("a").artefacts().write("x", fill, {})


def test_a_part_is_there_without_the_others(place: Place) -> None:
    ref = place.machine("a").artefacts().write("r-1/train", two_parts, {})
    folder = place.machine("b").artefacts().verify(ref, "model")
    assert folder.name == "model"
    assert [path.read_text() for path in folder.iterdir()] == ["model"]


@pytest.mark.parametrize("data", [b"other", None])
def test_a_wrong_or_missing_file_is_found_and_the_other_part_is_read(place: Place, data: bytes | None) -> None:
    ref = place.machine("a").artefacts().write("r-1/train", two_parts, {})
    place.spoil(ref.id, "optimizer/0.safetensors", data)
    store = place.machine("b").artefacts()
    store.verify(ref, "model")
    for _ in range(2):
        with pytest.raises(CorruptArtefact, match=r"optimizer/0\.safetensors"):
            store.verify(ref)


def test_a_wrong_manifest_is_found(place: Place) -> None:
    ref = place.machine("a").artefacts().write_rows("x", VERDICTS, {})
    place.spoil("x", MANIFEST, b"{}")
    with pytest.raises(CorruptArtefact, match="manifest"):
        place.machine("b").artefacts().manifest(ref)


def test_an_artefact_that_is_not_there(place: Place) -> None:
    store = place.machine("a").artefacts()
    assert store.find("nothing") is None
    with pytest.raises(NotFound, match="nothing"):
        store.verify(ArtefactRef(id="nothing", sha256="0" * 64))
    for name in ("../x", "a//b", ".tmp-x"):
        with pytest.raises(InvalidInput):
            store.find(name)


def test_images_that_one_machine_puts_another_gets(place: Place) -> None:
    images = place.machine("a").images()
    digests = [images.put(b"picture %d" % number) for number in range(100)]
    images.settle()
    other = place.machine("b").images()
    other.bring(digests)
    assert [other.get(digest) for digest in digests] == [b"picture %d" % number for number in range(100)]
    with pytest.raises(NotFound, match="0000"):
        other.get("0" * 64)


def test_only_the_part_asked_for_is_fetched(bucket: Bucket, tmp_path: Path) -> None:
    ref = _machine(bucket, tmp_path / "a").artefacts().write("r-1/train", two_parts, {})
    _machine(bucket, tmp_path / "b").artefacts().verify(ref, "model")
    assert files_below(tmp_path / "b") == ["0.safetensors", MANIFEST]


WRITER = """
import sys, time
from pathlib import Path
from mstar_artefacts.cache import Cache
from mstar_artefacts.remote import RemoteArtefacts
from mstar_artefacts.s3_objects import S3Objects

class Stuck(S3Objects):
    def create(self, key, data):
        print("uploaded", flush=True)
        time.sleep(600)

def fill(folder):
    (folder / "rows").write_text("rows of " + sys.argv[4])

RemoteArtefacts(Stuck(*sys.argv[1:3]), Cache(Path(sys.argv[3]), 10**9)).write("x", fill, {})
"""


def test_a_writer_killed_before_the_manifest_leaves_no_artefact_and_the_next_one_succeeds(
    bucket: Bucket, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    arguments = [bucket.url, bucket.endpoint, str(cache), "the killed one"]
    path = ":".join(part for part in sys.path if part)
    command = [sys.executable, "-c", WRITER, *arguments]
    with subprocess.Popen(command, env={"PYTHONPATH": path, **_access()}, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == "uploaded\n"
        writer.kill()
    assert len(bucket.names()) == 1
    store = RemoteArtefacts(S3Objects(bucket.url, bucket.endpoint), Cache(cache, PLENTY))
    assert store.find("x") is None
    ref = store.write("x", lambda folder: (folder / "rows").write_text("rows") and None, {})
    assert (store.verify(ref) / "rows").read_text() == "rows"
    # What it had staged on this disk is gone as well.
    assert files_below(cache) == [MANIFEST, "rows"]


def _access() -> dict[str, str]:
    from s3_server import ACCESS

    return ACCESS


def test_what_was_damaged_on_this_disk_is_fetched_again(bucket: Bucket, tmp_path: Path) -> None:
    store = _machine(bucket, tmp_path).artefacts()
    ref = store.write_rows("x", VERDICTS, {})
    for name in (f"{ROWS}{TABLE}", MANIFEST):
        (store.path("x") / name).write_bytes(b"spoilt")
    assert list(store.rows(ref, Verdict)) == VERDICTS
    images = _machine(bucket, tmp_path).images()
    digest = images.put(b"picture")
    images.settle()
    next(tmp_path.rglob("*.img")).write_bytes(b"another")
    assert images.get(digest) == b"picture"


def test_a_spoilt_image_is_found(bucket: Bucket, tmp_path: Path) -> None:
    images = _machine(bucket, tmp_path / "a").images()
    digest = images.put(b"picture")
    images.settle()
    bucket.put(f"images/{digest[:2]}/{digest}.img", b"another")
    with pytest.raises(CorruptArtefact):
        _machine(bucket, tmp_path / "b").images().get(digest)


def test_a_store_that_is_gone_is_said_when_writing_reading_and_settling(access: None, tmp_path: Path) -> None:
    storage = Storage(home=tmp_path, remote="s3://b/x", endpoint="http://127.0.0.1:9")
    store, images = storage.artefacts(), storage.images()
    with pytest.raises(Unavailable):
        store.find("x")
    with pytest.raises(Unavailable):
        store.write_rows("x", VERDICTS, {})
    images.put(b"picture")
    with pytest.raises(Unavailable):
        images.settle()
    assert files_below(tmp_path) == []


class Small:
    """A remote place with a cache for about three of the artefacts that `add` writes."""

    def __init__(self, bucket: Bucket, root: Path) -> None:
        self.root = root
        self.store = RemoteArtefacts(S3Objects(bucket.url, bucket.endpoint), Cache(root, 36_000))

    def add(self, name: str) -> ArtefactRef:
        return self.store.write(
            name, lambda folder: (folder / "data").write_bytes(name[:1].encode() * 10_000) and None, {}
        )

    def there(self) -> set[str]:
        return {path.parent.name for path in self.root.glob("*/data")}


def test_the_cache_keeps_what_was_used_last_within_its_bound(bucket: Bucket, tmp_path: Path) -> None:
    small = Small(bucket, tmp_path)
    refs = {name: small.add(name) for name in "abc"}
    assert small.there() == {"a", "b", "c"}
    small.store.verify(refs["a"])
    small.add("d")
    assert small.there() == {"a", "c", "d"}
    assert (small.store.verify(refs["b"]) / "data").read_bytes() == b"b" * 10_000
    assert small.there() == {"a", "b", "d"}


def test_what_somebody_uses_stays_whatever_it_costs(bucket: Bucket, tmp_path: Path) -> None:
    small, other = Small(bucket, tmp_path), Small(bucket, tmp_path)
    refs = {name: small.add(name) for name in "ab"}
    verified = small.store.verify(refs["a"])
    reading = small.store.rows(small.store.write_rows("rows", VERDICTS * 10, {}), Verdict)
    next(reading)
    for name in "cdefg":
        other.add(name)
    assert verified.is_dir() and "b" not in small.there()
    assert len(list(reading)) == 19
    # The next one that is verified takes the place of the one before.
    small.store.verify(refs["b"])
    other.add("h")
    other.add("i")
    assert "a" not in small.there() and "b" in small.there()


def test_room_is_made_before_it_is_needed(bucket: Bucket, tmp_path: Path) -> None:
    small = Small(bucket, tmp_path)
    for name in "abc":
        small.add(name)
    small.store.make_room(20_000)
    assert small.there() == {"c"}


def test_images_that_were_used_last_stay_within_the_bound(bucket: Bucket, tmp_path: Path) -> None:
    images = RemoteImages(S3Objects(bucket.url, bucket.endpoint), tmp_path, 50_000)
    digests = [images.put(bytes([number]) * 10_000) for number in range(10)]
    images.settle()
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.img")) <= 50_000
    assert [images.get(digest)[0] for digest in digests] == list(range(10))
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.img")) <= 50_000


def test_a_folder_holds_images_as_before(tmp_path: Path) -> None:
    digest = Storage(home=tmp_path).images().put(b"picture")
    assert ImageStore(tmp_path / ".mstar" / "images").get(digest) == b"picture"


@pytest.mark.parametrize("spoilt", ["x.txt", MANIFEST])
@pytest.mark.parametrize("data", [b"another", None], ids=["changed", "missing"])
def test_damage_is_seen_where_an_artefact_is_kept_and_mended_by_making_it_again(
    place: Place, spoilt: str, data: bytes | None
) -> None:
    def fill(folder: Path) -> None:
        (folder / "x.txt").write_text("what was")

    store = place.machine("a").artefacts()
    ref = store.write("r/one", fill, {})
    assert store.damage(ref) is None
    # The machine that wrote it has a copy in its cache that is still right.
    place.spoil("r/one", spoilt, data)
    assert store.damage(ref) is not None
    store.discard("r/one")
    assert store.find("r/one") is None
    assert store.write("r/one", fill, {}) == ref
    assert place.machine("b").artefacts().damage(ref) is None


def test_what_is_not_there_can_be_discarded(place: Place) -> None:
    store = place.machine("a").artefacts()
    store.discard("r/none")
    with pytest.raises(InvalidInput):
        store.discard("../x")


def test_a_spoilt_image_is_discarded_and_put_again(bucket: Bucket, tmp_path: Path) -> None:
    images = _machine(bucket, tmp_path / "a").images()
    good, bad = images.put(b"good"), images.put(b"bad")
    images.settle()
    bucket.put(f"images/{bad[:2]}/{bad}.img", b"other")
    assert images.damaged([good, bad, bad]) == [bad]
    images.discard(bad)
    images.put(b"bad")
    images.settle()
    assert _machine(bucket, tmp_path / "b").images().damaged([good, bad]) == []
