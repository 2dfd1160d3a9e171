"""Artefacts and images in an object store, with a cache on this machine's disk.

An artefact `<id>` is `artefacts/<id>/manifest.json` and an object for each file, named after it and its hash. So
writers of one artefact never touch each other's objects, and the manifest, which is put last and only where there is
none, says whose count: a reader sees an artefact whole or not at all. What a writer leaves that lost or was killed is
in no manifest; it costs room and nothing else. Images lie in `images/ab/ab12….img`.

Nothing that is read is trusted before its hash is checked, whether it was fetched or lay in the cache.
"""

import hashlib
import os
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mstar.errors import CorruptArtefact, MissingArtefact, NotFound
from mstar.steps import ArtefactRef
from mstar.types import Sha256
from mstar_artefacts.cache import Cache, Growth, Hold, alone, last_use, size_of
from mstar_artefacts.digests import digest_of, function_of, hexadecimal
from mstar_artefacts.durable import translated
from mstar_artefacts.images import ImageStore
from mstar_artefacts.manifests import MANIFEST, FileEntry, Manifest, mismatched, read_manifest, require_no_other, seal
from mstar_artefacts.objects import Objects
from mstar_artefacts.store import ArtefactStore, plain_parts

FILES_AT_ONCE = 4
IMAGES_AT_ONCE = 16
IMAGES_WAITING = 64
"""Images on their way at most; each is in memory."""
NAME_DIGITS = 16
"""Of a file's hash in its object's name."""


class RemoteArtefacts(ArtefactStore):
    """Artefacts in an object store. `path` is where the cache has or would have one."""

    def __init__(self, objects: Objects, cache: Cache) -> None:
        super().__init__(cache.root)
        self._objects = objects
        self._cache = cache
        self._verified: Hold | None = None

    def path(self, artefact: str) -> Path:
        return self.root / quote("/".join(plain_parts(artefact)), safe="")

    def make_room(self, wanted: int) -> None:
        self._cache.make_room(wanted)

    def find(self, artefact: str) -> ArtefactRef | None:
        """Asks the store each time: what is in the cache may be gone there."""
        plain_parts(artefact)
        try:
            return _ref(artefact, self._objects.read(_key(artefact, MANIFEST)))
        except NotFound:
            return None

    def damage(self, ref: ArtefactRef) -> str | None:
        # The cache is passed over: a copy that is still right here would hide what every other machine gets.
        try:
            data = self._objects.read(_key(ref.id, MANIFEST))
        except NotFound:
            return f"artefact {ref.id} does not exist"
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            return f"manifest of artefact {ref.id} does not have the hash that was committed"
        try:
            with self._cache.staging() as staged:
                _at_once(
                    FILES_AT_ONCE,
                    lambda one: self._check_object(ref, staged.folder, one),
                    read_manifest(data, ref.id).files,
                )
        except CorruptArtefact as error:
            return error.detail
        except OSError as error:
            raise translated(error, ref.id) from error
        return None

    def discard(self, artefact: str) -> None:
        """Remove the manifest, without which there is no artefact. Who makes it again writes over its other objects."""
        plain_parts(artefact)
        # Without its manifest an artefact does not exist, whatever other objects are left of it.
        self._objects.delete(_key(artefact, MANIFEST))
        self._cache.drop(self.path(artefact).name)

    def write(self, artefact: str, fill: Callable[[Path], None], metadata: dict[str, Any]) -> ArtefactRef:
        place = self.path(artefact)
        try:
            with self._cache.staging() as staged:
                fill(staged.folder)
                manifest = seal(staged.folder, artefact, metadata)
                self._cache.make_room(sum(one.bytes for one in manifest.files))
                _at_once(FILES_AT_ONCE, lambda one: self._upload(artefact, staged.folder, one), manifest.files)
                # The manifest comes last and only where there is none: it is the commit.
                own = (staged.folder / MANIFEST).read_bytes()
                if not self._objects.create(_key(artefact, MANIFEST), own):
                    return _ref(artefact, self._objects.read(_key(artefact, MANIFEST)))
                self._cache.keep(staged, place.name)
        except OSError as error:
            raise translated(error, artefact) from error
        return _ref(artefact, own)

    def manifest(self, ref: ArtefactRef) -> Manifest:
        with self._cache.hold(self.path(ref.id).name) as held:
            return self._manifest(ref, held.folder)

    def verify(self, ref: ArtefactRef, part: str | None = None) -> Path:
        held = self._complete(ref, part)
        # The caller reads the folder after this returns, so it stays held until the next one is asked for.
        before, self._verified = self._verified, held
        if before is not None:
            before.release()
        return held.folder if part is None else held.folder / part

    def unread(self, ref: ArtefactRef, part: str) -> Path | None:
        """None: what is not in the cache yet is hashed on its way into it."""
        return None

    @contextmanager
    def _reading(self, ref: ArtefactRef) -> Iterator[Path]:
        with self._complete(ref, None) as held:
            yield held.folder

    def _complete(self, ref: ArtefactRef, part: str | None) -> Hold:
        """The entry, with all files of the part in it and right."""
        held = self._cache.hold(self.path(ref.id).name)
        try:
            manifest = self._manifest(ref, held.folder)
            # What lies in the cache is hashed like what is fetched: a disk changes bits, and so do people.
            lacking = mismatched(held.folder, manifest.files, part)
            if lacking:
                with alone(held.folder):
                    # Another process may have fetched them while this one waited.
                    lacking = mismatched(held.folder, lacking)
                    self._cache.make_room(sum(one.bytes for one in lacking))
                    _at_once(FILES_AT_ONCE, lambda one: self._fetch(ref, held.folder, one), lacking)
            require_no_other(ref, held.folder, manifest.files, part)
        except OSError as error:
            held.release()
            raise translated(error, ref.id) from error
        except BaseException:
            held.release()
            raise
        return held

    def _manifest(self, ref: ArtefactRef, folder: Path) -> Manifest:
        path = folder / MANIFEST
        if path.is_file() and hashlib.sha256(known := path.read_bytes()).hexdigest() == ref.sha256:
            return read_manifest(known, ref.id)
        try:
            data = self._objects.read(_key(ref.id, MANIFEST))
        except NotFound:
            raise MissingArtefact(f"artefact {ref.id} does not exist") from None
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            raise CorruptArtefact(f"manifest of artefact {ref.id} does not have the hash that was committed")
        with alone(folder):
            _replace(path, data)
        return read_manifest(data, ref.id)

    def _fetch(self, ref: ArtefactRef, folder: Path, entry: FileEntry) -> None:
        target = folder / entry.name
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = folder / f".tmp-{uuid.uuid4().hex}"
        try:
            self._objects.download(_object(ref.id, entry), staging)
            if digest_of(staging, function_of(entry.digest)) != entry.digest:
                raise CorruptArtefact(f"file {entry.name} of artefact {ref.id} does not match its manifest")
            # Under its name only once the hash is right: others may be reading the same entry.
            staging.replace(target)
        except NotFound as error:
            raise CorruptArtefact(f"file {entry.name} of artefact {ref.id} is missing") from error
        finally:
            staging.unlink(missing_ok=True)

    def _check_object(self, ref: ArtefactRef, folder: Path, entry: FileEntry) -> None:
        """Fetch a file, compare its hash, and drop it: a checkpoint may be larger than this disk."""
        self._cache.make_room(entry.bytes)
        self._fetch(ref, folder, entry)
        (folder / entry.name).unlink()

    def _upload(self, artefact: str, folder: Path, entry: FileEntry) -> None:
        self._objects.upload(folder / entry.name, _object(artefact, entry))


class RemoteImages(ImageStore):
    """Images in an object store, with the ones used last on disk."""

    def __init__(self, objects: Objects, root: Path, limit: int) -> None:
        super().__init__(root)
        self._objects = objects
        self._growth = Growth(limit)
        self._threads = ThreadPoolExecutor(IMAGES_AT_ONCE, thread_name_prefix="images")
        self._on_their_way: deque[Future[None]] = deque()

    def put(self, data: bytes) -> Sha256:
        """Returns before the image is stored: `settle` waits for that. Raises what an earlier one failed with."""
        digest = hashlib.sha256(data).hexdigest()
        # It lies on this disk only once it is in the store.
        if not self._path(digest).exists():
            if len(self._on_their_way) >= IMAGES_WAITING:
                self._on_their_way.popleft().result()
            self._on_their_way.append(self._threads.submit(self._store, digest, data))
        return digest

    def settle(self) -> None:
        while self._on_their_way:
            self._on_their_way.popleft().result()

    def bring(self, digests: Iterable[Sha256]) -> None:
        wanted = [digest for digest in dict.fromkeys(digests) if not self._path(digest).exists()]
        if len(wanted) > 1:
            _at_once(IMAGES_AT_ONCE, self.get, wanted)

    def get(self, digest: Sha256) -> bytes:
        try:
            data = super().get(digest)
            # Its time of change is when it was used last, for `_forget_oldest`.
            os.utime(self._path(digest))
            return data
        except (NotFound, CorruptArtefact, FileNotFoundError):
            pass
        try:
            data = self._objects.read(_image_key(digest))
        except NotFound:
            raise NotFound(f"image {digest} is not in the image store", field="images.sha256") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise CorruptArtefact(f"image {digest} does not have its own hash")
        self._remember(digest, data)
        return data

    def damaged(self, digests: Iterable[Sha256]) -> list[Sha256]:
        found: list[Sha256] = []

        def check(digest: Sha256) -> None:
            try:
                if hashlib.sha256(self._objects.read(_image_key(digest))).hexdigest() == digest:
                    return
            except NotFound:
                pass
            found.append(digest)

        _at_once(IMAGES_AT_ONCE, check, dict.fromkeys(digests))
        return sorted(found)

    def discard(self, digest: Sha256) -> None:
        self._objects.delete(_image_key(digest))
        super().discard(digest)

    def _store(self, digest: Sha256, data: bytes) -> None:
        self._objects.create(_image_key(digest), data)
        self._remember(digest, data)

    def _remember(self, digest: Sha256, data: bytes) -> None:
        self._path(digest).unlink(missing_ok=True)
        super().put(data)
        if self._growth.due(len(data)):
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        excess = size_of(self.root) - self._growth.target
        for path in sorted(self.root.glob("*/*.img"), key=last_use):
            if excess <= 0:
                return
            try:
                size = path.stat().st_size
                path.unlink()
            except FileNotFoundError:
                continue
            excess -= size


def _at_once(threads: int, do: Callable[[Any], object], items: Iterable[Any]) -> None:
    """Do it with each item, several at a time. Raises what the first one failed with, once none is under way."""
    with ThreadPoolExecutor(threads) as pool:
        begun = [pool.submit(do, item) for item in items]
        try:
            for one in begun:
                one.result()
        finally:
            for one in begun:
                one.cancel()


def _replace(path: Path, data: bytes) -> None:
    staging = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        staging.write_bytes(data)
        staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)


def _ref(artefact: str, manifest: bytes) -> ArtefactRef:
    return ArtefactRef(id=artefact, sha256=hashlib.sha256(manifest).hexdigest())


def _key(artefact: str, name: str) -> str:
    return f"artefacts/{artefact}/{name}"


def _object(artefact: str, entry: FileEntry) -> str:
    return _key(artefact, f"{entry.name}.{hexadecimal(entry.digest)[:NAME_DIGITS]}")


def _image_key(digest: Sha256) -> str:
    return f"images/{digest[:2]}/{digest}.img"
