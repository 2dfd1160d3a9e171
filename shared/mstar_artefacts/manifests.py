"""Manifests: what an artefact's folder holds, file by file with size and digest, and whether a folder is as listed."""

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationError, model_validator

from mstar.errors import CorruptArtefact, InvalidInput
from mstar.steps import ArtefactRef
from mstar.types import Frozen
from mstar_artefacts.digests import BLAKE3, SHA256, Digest, digests_of, function_of
from mstar_artefacts.durable import fsync, write_durably

MANIFEST = "manifest.json"


def _plain_name(name: str) -> str:
    if any(part in ("", ".", "..") for part in name.split("/")) or "\\" in name or "\x00" in name:
        raise ValueError("a file's name is a plain relative path")
    return name


class FileEntry(Frozen):
    """One file of an artefact."""

    name: Annotated[str, AfterValidator(_plain_name)]
    """Relative to the artefact's folder."""
    bytes: int
    digest: Digest

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, value: Any) -> Any:
        """Older manifests hold the SHA-256 under its name."""
        if isinstance(value, dict) and "sha256" in value and "digest" not in value:
            return {key: one for key, one in value.items() if key != "sha256"} | {
                "digest": f"{SHA256}:{value['sha256']}"
            }
        return value


class Manifest(Frozen):
    """The commit record of an artefact."""

    id: str
    files: tuple[FileEntry, ...]
    metadata: dict[str, Any] = {}


def read_manifest(data: bytes, artefact: str) -> Manifest:
    """The manifest that these bytes are. Raises CorruptArtefact, since bytes of the right hash may still be none."""
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise CorruptArtefact(f"manifest of artefact {artefact} cannot be read: it is not a manifest") from error


def seal(folder: Path, artefact: str, metadata: dict[str, Any]) -> Manifest:
    """Make a folder's files durable and readable for all who may read the folder, hash them, and write the manifest."""
    # The folder was made under the process's umask; safetensors writes its files for their owner alone.
    mode = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(mode)
    # Each file is on the disk before the manifest names it, and the manifest before the folder gets its name: after a
    # power cut there is the whole artefact or none.
    manifest = Manifest(id=artefact, files=tuple(_entries(folder)), metadata=metadata)
    write_durably(folder / MANIFEST, manifest.model_dump_json().encode())
    fsync(folder)
    return manifest


def mismatched(folder: Path, files: Iterable[FileEntry], part: str | None = None) -> list[FileEntry]:
    """Those of the files (of one part) that are missing in the folder, are links, or have another digest."""
    wanted = [one for one in files if part is None or one.name.startswith(f"{part}/")]
    there = [one for one in wanted if is_own_file(folder, one)]
    found = digests_of([(folder / one.name, function_of(one.digest)) for one in there])
    # Sizes were compared before, so a truncated file costs no hashing.
    right = {entry.name for entry, digest in zip(there, found, strict=True) if digest == entry.digest}
    return [entry for entry in wanted if entry.name not in right]


def is_own_file(folder: Path, entry: FileEntry) -> bool:
    """Whether it is a file of the manifest's size in the folder itself: no link on the way leads elsewhere."""
    path = folder
    try:
        for part in entry.name.split("/"):
            path = path / part
            if path.is_symlink():
                return False
        return path.is_file() and path.stat().st_size == entry.bytes
    except OSError as error:
        # A manifest may name what no file system takes.
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def require_no_other(ref: ArtefactRef, folder: Path, files: Iterable[FileEntry], part: str | None) -> None:
    """Raises CorruptArtefact for a file in the folder that the manifest does not list."""
    for name in unlisted(folder, files, part):
        raise CorruptArtefact(f"artefact {ref.id} holds {name[:200]}, which its manifest does not list: remove it")


def unlisted(folder: Path, files: Iterable[FileEntry], part: str | None = None) -> list[str]:
    """Names of files and links in the folder (in one part of it) that are not among these.

    Hidden ones are not loaded by anybody, and a folder with a manifest of its own is another artefact.
    """
    known = {MANIFEST} | {one.name for one in files}
    found = []
    for place, folders, names in os.walk(folder if part is None else folder / part):
        here = Path(place)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [name for name in folders if name[0] != "." and not (here / name / MANIFEST).exists()]
        found += [(here / name).relative_to(folder).as_posix() for name in (*names, *links) if name[0] != "."]
    return sorted(set(found) - known)


def _entries(folder: Path) -> Iterator[FileEntry]:
    below = sorted(folder.rglob("*"))
    if links := [path.name for path in below if path.is_symlink()]:
        raise InvalidInput(f"{links[0][:200]} is a link: an artefact holds files of its own", field="artefact")
    files = [path for path in below if path.is_file()]
    for path in files:
        fsync(path)
    for path, digest in zip(files, digests_of([(path, BLAKE3) for path in files]), strict=True):
        yield FileEntry(name=path.relative_to(folder).as_posix(), bytes=path.stat().st_size, digest=digest)
