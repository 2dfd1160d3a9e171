"""Artefact folders: written under a temporary name, fsynced, hashed, manifest last, renamed into place.

An artefact is a folder of files with `manifest.json`. It exists when its folder stands under its final name, and never
changes after. Two writers of one artefact are harmless: the first rename wins and the loser adopts it. What this leaves
out: who may write what (the coordinator's leases decide) and object stores (`remote`).
"""

import errno
import gzip
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from mstar.errors import CorruptArtefact, InvalidInput, NotFound, StorageFull
from mstar.steps import ArtefactRef
from mstar.types import Frozen, Sha256

MANIFEST = "manifest.json"
ROWS = "rows"
SCORES = "scores"
"""Tables of an artefact: what a step is for, and the step scores beside it."""
TABLE = ".jsonl.gz"
COMPRESSION = 1
"""Gzip's level. Its default, 9, takes 15 times as long to save an eighth of the bytes, and writing rows is what workers
do most."""
PARALLEL_BYTES = 32 * 1024**2
HASHERS = 8
"""Files that are read at the same time: hashing keeps a core busy at one or two GB/s, a disk gives more."""
Row = TypeVar("Row", bound=BaseModel)


class FileEntry(Frozen):
    name: str
    bytes: int
    sha256: Sha256


class Manifest(Frozen):
    """The commit record of an artefact."""

    id: str
    files: tuple[FileEntry, ...]
    metadata: dict[str, Any] = {}


class ArtefactStore:
    """Artefacts below one root folder. The other adapter is `remote.RemoteArtefacts`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        """Where files are written and read; its disk is the one that must have room."""

    def path(self, artefact: str) -> Path:
        """Folder of an artefact. Raises InvalidInput for an id that would leave the root."""
        return self.root.joinpath(*plain_parts(artefact))

    def make_room(self, wanted: int) -> None:
        """Give up what need not be kept, so that so many bytes can be written. Everything here must be kept."""

    def find(self, artefact: str) -> ArtefactRef | None:
        """Reference to a committed artefact, or None."""
        manifest = self.path(artefact) / MANIFEST
        if not manifest.exists():
            return None
        return ArtefactRef(id=artefact, sha256=hashlib.sha256(manifest.read_bytes()).hexdigest())

    def write(self, artefact: str, fill: Callable[[Path], None], metadata: dict[str, Any]) -> ArtefactRef:
        """Create an artefact; `fill` writes its files into the folder it is given.

        Adopts an artefact of the same id that is there already. Raises StorageFull when the disk is.
        """
        final = self.path(artefact)
        staging = final.parent / f".tmp-{final.name}-{uuid.uuid4().hex}"
        try:
            staging.mkdir(parents=True)
            fill(staging)
            seal(staging, artefact, metadata)
            try:
                staging.rename(final)
            except OSError:
                if not (final / MANIFEST).exists():
                    raise
            _fsync(final.parent)
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
            data = path.read_bytes()
        except FileNotFoundError:
            raise NotFound(f"artefact {ref.id} does not exist") from None
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            raise CorruptArtefact(f"manifest of artefact {ref.id} does not have the hash that was committed")
        return Manifest.model_validate_json(data)

    def verify(self, ref: ArtefactRef, part: str | None = None) -> Path:
        """Folder of an artefact whose every file has the hash of the manifest. Raises NotFound or CorruptArtefact.

        `part`: a folder in it, which alone is looked at and returned: who serves weights reads no optimizer. The folder
        can be read until this store verifies another.
        """
        folder = self.path(ref.id)
        for wrong in mismatched(folder, self.manifest(ref).files, part):
            raise CorruptArtefact(f"file {wrong.name} of artefact {ref.id} does not match its manifest")
        return folder if part is None else folder / part

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


def plain_parts(artefact: str) -> list[str]:
    """Parts of an artefact's id. Raises InvalidInput for one that is not a plain relative path."""
    parts = artefact.split("/")
    if any(p in ("", ".", "..") or "\\" in p or "\x00" in p or p.startswith(".tmp-") for p in parts):
        raise InvalidInput(f"artefact id {artefact[:64]!r} is not a plain relative path", field="artefact")
    return parts


def seal(folder: Path, artefact: str, metadata: dict[str, Any]) -> Manifest:
    """Make a folder's files durable, hash them, and write the manifest beside them."""
    manifest = Manifest(id=artefact, files=tuple(_entries(folder)), metadata=metadata)
    _write_durably(folder / MANIFEST, manifest.model_dump_json().encode())
    _fsync(folder)
    return manifest


def mismatched(folder: Path, files: Iterable[FileEntry], part: str | None = None) -> list[FileEntry]:
    """Those of the files (of one part) that are missing in the folder or have another hash."""
    wanted = [one for one in files if part is None or one.name.startswith(f"{part}/")]
    found = _hashes([(folder / one.name, one.bytes) for one in wanted])
    return [entry for entry, sha256 in zip(wanted, found, strict=True) if sha256 != entry.sha256]


def _hashes(files: Sequence[tuple[Path, int]]) -> list[str | None]:
    """Hashes of files of about these sizes, None for a missing one; several at a time where it is worth threads."""
    if sum(size for _, size in files) < PARALLEL_BYTES:
        return [_hash_of(path) for path, _ in files]
    with ThreadPoolExecutor(min(HASHERS, os.cpu_count() or 1)) as threads:
        return list(threads.map(_hash_of, (path for path, _ in files)))


def _hash_of(path: Path) -> str | None:
    return hash_file(path) if path.is_file() else None


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file in one rename, so a reader sees the old or the new one whole."""
    staging = path.with_name(f".tmp-{path.name}-{uuid.uuid4().hex}")
    try:
        _write_durably(staging, json.dumps(value, indent=2, allow_nan=False).encode())
        staging.replace(path)
    except OSError as error:
        staging.unlink(missing_ok=True)
        raise translated(error, path.name) from error


def _write_table(path: Path, rows: Iterable[BaseModel]) -> None:
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as out:
        for row in rows:
            out.write(row.model_dump_json().encode() + b"\n")


def _entries(folder: Path) -> Iterator[FileEntry]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            _fsync(path)
            yield FileEntry(name=path.relative_to(folder).as_posix(), bytes=path.stat().st_size, sha256=hash_file(path))


def _write_durably(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def translated(error: OSError, name: str) -> Exception:
    """StorageFull where a disk is, else the error itself."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFull(f"no space left while writing {name}: free some disk, then resume the run")
    return error
