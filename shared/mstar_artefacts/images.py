"""Images by content hash: `images/ab/ab12….img` holds the file's bytes as they came, once.

This is the folder; `remote` has the same in an object store, where it pays to have many on their way at once.
"""

import hashlib
import os
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from mstar.errors import CorruptArtefact, NotFound
from mstar.types import Sha256
from mstar.writing import not_written
from mstar_artefacts.durable import sync_all

NOT_STORED = "is not in the image store"


class ImageStore:
    """Encoded image files below one folder, named by the SHA-256 of their bytes."""

    def __init__(self, root: Path, sync: Callable[[Path], None] = sync_all) -> None:
        """`sync`: waits until all that was written on a folder's file system is on the disk."""
        self.root = root
        self._sync = sync
        self._unsettled = False

    def put(self, data: bytes) -> Sha256:
        """Store the bytes, unless they are there, and return their hash. Raises StorageFull or NotWritable."""
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        # A name of its own, so that two writers of one image never share a half-written file.
        staging = path.with_name(f".tmp-{uuid.uuid4().hex}")
        try:
            if not _has_size(path, len(data)):
                path.parent.mkdir(parents=True, exist_ok=True)
                staging.write_bytes(data)
                # Not synced one by one, which costs more than the write: `settle` does it for all.
                os.replace(staging, path)
            # Also for one that is there: whoever wrote it may not have settled yet.
            self._unsettled = True
        except OSError as error:
            with suppress(OSError):
                staging.unlink(missing_ok=True)
            raise not_written(error, path) from error
        return digest

    def settle(self) -> None:
        """Return when all that was put is stored for good: before anything that refers to it is written.

        A power cut after that loses none. One before may tear an image, which `get` tells by its hash and `put` by its
        size. Raises StorageFull or NotWritable.
        """
        if self._unsettled:
            try:
                self._sync(self.root)
            except OSError as error:
                raise not_written(error, self.root) from error
            self._unsettled = False

    def bring(self, digests: Iterable[Sha256]) -> None:
        """Have these at hand, since they will be asked for one by one."""

    def get(self, digest: Sha256) -> bytes:
        """The bytes. Raises NotFound, or CorruptArtefact when they do not have the hash."""
        try:
            data = self._path(digest).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"image {digest} {NOT_STORED}", field="images.sha256") from None
        # The hash is the name, so a changed file cannot pass for another image.
        if hashlib.sha256(data).hexdigest() != digest:
            raise CorruptArtefact(f"image {digest} does not have its own hash")
        return data

    def damaged(self, digests: Iterable[Sha256]) -> list[Sha256]:
        """Those of the images that are missing, or do not have their hash, where they are kept. Reads all of them."""
        found = []
        for digest in dict.fromkeys(digests):
            try:
                self.get(digest)
            except (NotFound, CorruptArtefact):
                found.append(digest)
        return found

    def discard(self, digest: Sha256) -> None:
        """Remove an image, so that it is stored anew when it is put again."""
        self._path(digest).unlink(missing_ok=True)

    def _path(self, digest: Sha256) -> Path:
        return self.root / digest[:2] / f"{digest}.img"


def _has_size(path: Path, size: int) -> bool:
    """Whether a file is there with this size: one that a power cut tore is shorter, and is to be written anew."""
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False
