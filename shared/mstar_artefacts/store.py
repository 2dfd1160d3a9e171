"""Artefact folders: written under a temporary name, fsynced, hashed, manifest last, renamed into place.

An artefact is a folder of files with a manifest (`manifests`). It exists when its folder stands under its final name,
and never changes after. Two writers of one artefact are harmless: the first rename wins and the loser adopts it. What
this leaves out: who may write what (the coordinator's leases decide) and object stores (`remote`).
"""

import errno
import gzip
import hashlib
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from mstar.errors import CorruptArtefact, InvalidInput, MissingArtefact, NotFound, Unavailable
from mstar.steps import ArtefactId, ArtefactRef
from mstar_artefacts.durable import fsync, translated
from mstar_artefacts.manifests import (
    MANIFEST,
    Manifest,
    is_own_file,
    mismatched,
    read_manifest,
    require_no_other,
    seal,
    unlisted,
)

ROWS = "rows"
SCORES = "scores"
"""Tables of an artefact: what a step is for, and the step scores beside it."""
TABLE = ".jsonl.gz"
COMPRESSION = 1
"""Gzip's level. Its default, 9, takes 15 times as long to save an eighth of the bytes, and writing rows is what workers
do most."""
BAD_DISK = (errno.EIO, errno.EUCLEAN, errno.EBADMSG)
"""What a file system answers for blocks that it lost."""
Row = TypeVar("Row", bound=BaseModel)

_IDS = TypeAdapter[str](ArtefactId)


class ArtefactStore:
    """Artefacts below one root folder. The other adapter is `remote.RemoteArtefacts`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        """Where files are written and read; its disk is the one that must have room."""

    def path(self, artefact: str) -> Path:
        """Folder of an artefact. Raises InvalidInput for an id that would leave the root."""
        return self.root.joinpath(*plain_parts(artefact))

    def make_room(self, wanted: int) -> None:
        """Give up what need not be kept, so that this many bytes can be written. Everything here must be kept."""

    def find(self, artefact: str) -> ArtefactRef | None:
        """Reference to a committed artefact, or None. Raises CorruptArtefact for a manifest that is a folder."""
        manifest = self.path(artefact) / MANIFEST
        if not manifest.exists():
            return None
        return ArtefactRef(id=artefact, sha256=hashlib.sha256(_read_manifest(manifest, artefact)).hexdigest())

    def require_named(self, ref: ArtefactRef) -> None:
        """Raises InvalidInput where the artefact is there under another hash than the caller gives.

        Where its manifest cannot be read, CorruptArtefact; where there is none, nothing: who reads it says so.
        """
        found = self.find(ref.id)
        # A manifest that was damaged has another hash as well, but then it does not name this artefact any more.
        if found is not None and found != ref and self.manifest(found).id == ref.id:
            raise InvalidInput(
                f"manifest_sha256: the manifest of artefact {ref.id} has the hash {found.sha256}: give that one, if "
                "the artefact as it is now is meant",
                field="manifest_sha256",
            )

    def adopt(self, artefact: str) -> ArtefactRef | None:
        """Reference to an artefact that nobody has committed yet, once all of it is verified; None where there is none.

        What an earlier attempt left damaged is removed. Raises CorruptArtefact where it cannot be.
        """
        try:
            ref = self.find(artefact)
            if ref is not None:
                self.verify(ref)
                return ref
        except (CorruptArtefact, ValueError):
            pass
        self.discard(artefact)
        return None

    def damage(self, ref: ArtefactRef) -> str | None:
        """What is wrong with a committed artefact where it is kept; None where it is whole. Reads all of it.

        Raises Unavailable when it cannot be read for another reason, such as missing permission.
        """
        try:
            self.verify(ref)
        except (CorruptArtefact, NotFound) as error:
            return error.detail
        except OSError as error:
            if error.errno in BAD_DISK:
                return f"artefact {ref.id} cannot be read: {error.strerror}"
            raise Unavailable(f"artefact {ref.id} cannot be read: {error.strerror}") from error
        return None

    def discard(self, artefact: str) -> None:
        """Remove an artefact, so that it can be made again. Raises CorruptArtefact where it cannot be removed."""
        final = self.path(artefact)
        gone = final.parent / f".tmp-{final.name}-{uuid.uuid4().hex}"
        try:
            # One rename, so that nobody finds half of it.
            final.rename(gone)
        except FileNotFoundError:
            return
        except OSError as error:
            raise CorruptArtefact(
                f"damaged artefact {artefact} cannot be removed ({error.strerror}): remove its folder, then resume"
            ) from error
        shutil.rmtree(gone, ignore_errors=True)

    def write(self, artefact: str, fill: Callable[[Path], None], metadata: dict[str, Any]) -> ArtefactRef:
        """Create an artefact; `fill` writes its files into the folder it is given.

        Adopts an artefact of the same id that is there already. Raises StorageFull when the disk is, and NotWritable.
        """
        final = self.path(artefact)
        # Beside its final place: a rename is one step within a file system only.
        staging = final.parent / f".tmp-{final.name}-{uuid.uuid4().hex}"
        try:
            staging.mkdir(parents=True)
            fill(staging)
            seal(staging, artefact, metadata)
            try:
                staging.rename(final)
            except OSError:
                # A folder that is not empty cannot be renamed over: another writer was first, and its output stays.
                if not (final / MANIFEST).exists():
                    raise
            fsync(final.parent)
        except OSError as error:
            raise translated(error, artefact) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        found = self.find(artefact)
        assert found is not None
        return found

    def write_rows(self, artefact: str, rows: Iterable[BaseModel], metadata: dict[str, Any]) -> ArtefactRef:
        """Create an artefact of one `rows.jsonl.gz`; equal rows give equal bytes."""
        return self.write_tables(artefact, {ROWS: rows}, metadata)

    def write_tables(
        self, artefact: str, tables: Mapping[str, Iterable[BaseModel]], metadata: dict[str, Any]
    ) -> ArtefactRef:
        """Create an artefact of several `<name>.jsonl.gz`; equal rows give equal bytes."""

        def fill(folder: Path) -> None:
            for name, rows in tables.items():
                _write_table(folder / f"{name}{TABLE}", rows)

        return self.write(artefact, fill, metadata)

    def manifest(self, ref: ArtefactRef) -> Manifest:
        """The manifest, after checking its own hash. Raises NotFound or CorruptArtefact."""
        path = self.path(ref.id) / MANIFEST
        try:
            data = _read_manifest(path, ref.id)
        except (FileNotFoundError, NotADirectoryError):
            raise MissingArtefact(f"artefact {ref.id} does not exist") from None
        # SHA-256 whatever the files have: this hash is what the database committed.
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            raise CorruptArtefact(f"manifest of artefact {ref.id} does not have the hash that was committed")
        return read_manifest(data, ref.id)

    def verify(self, ref: ArtefactRef, part: str | None = None) -> Path:
        """Folder of an artefact that holds exactly what its manifest lists. Raises NotFound or CorruptArtefact.

        So a loader that takes whatever lies in the folder takes nothing else. Links count as damage.

        `part`: a folder in it, which alone is looked at and returned: who serves weights reads no optimizer. The folder
        can be read until this store verifies another.
        """
        folder, files = self.path(ref.id), self.manifest(ref).files
        for wrong in mismatched(folder, files, part):
            raise CorruptArtefact(f"file {wrong.name} of artefact {ref.id} does not match its manifest")
        require_no_other(ref, folder, files, part)
        return folder if part is None else folder / part

    def unread(self, ref: ArtefactRef, part: str) -> Path | None:
        """The folder that `verify` returns, where its files have the names and sizes of the manifest.

        None where they must be fetched or are not as listed. For those who read and `verify` at the same time, and use
        nothing of what they read before that is done. Raises NotFound or CorruptArtefact.
        """
        folder, files = self.path(ref.id), self.manifest(ref).files
        wanted = [one for one in files if one.name.startswith(f"{part}/")]
        as_listed = all(is_own_file(folder, one) for one in wanted) and not unlisted(folder, files, part)
        return folder / part if as_listed else None

    def rows(self, ref: ArtefactRef, kind: type[Row], table: str = ROWS) -> Iterator[Row]:
        """Rows of one table of an artefact, verified first; none where it lacks a table that stands beside `rows`."""
        with self._reading(ref) as folder:
            path = folder / f"{table}{TABLE}"
            if table != ROWS and not path.exists():
                return
            with gzip.open(path, "rb") as lines:
                for line in lines:
                    yield kind.model_validate_json(line)

    @contextmanager
    def _reading(self, ref: ArtefactRef) -> Iterator[Path]:
        """The verified folder, for as long as it is read."""
        yield self.verify(ref)


def _read_manifest(path: Path, artefact: str) -> bytes:
    try:
        return path.read_bytes()
    except IsADirectoryError:
        raise CorruptArtefact(f"manifest of artefact {artefact} is a folder") from None


def plain_parts(artefact: str) -> list[str]:
    """Parts of an artefact's id. Raises InvalidInput for one that is not a plain relative path, or too long."""
    try:
        return _IDS.validate_python(artefact).split("/")
    except ValidationError:
        detail = f"artefact id {artefact[:64]!r} is not a plain relative path of at most 160 characters"
        raise InvalidInput(detail, field="artefact") from None


def _write_table(path: Path, rows: Iterable[BaseModel]) -> None:
    # Without name and time in its head, equal rows give equal bytes, and so equal hashes.
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as out:
        for row in rows:
            out.write(row.model_dump_json().encode() + b"\n")
