"""Images and samples inside tar and zip files, read in place: nothing is unpacked to the disk.

A zip and an uncompressed tar give any member at once. A compressed tar is read from its start for every member, so only
its samples can be used (webdataset), one after the other.
"""

import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mstar.errors import InvalidDataset
from mstar_data.record import BadRecord

ENDINGS = (".tar", ".zip", ".tgz", ".tar.gz")
LARGEST_MEMBER = 48 * 2**20
MAX_MEMBERS = 5_000_000
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_TEXTS = (".json", ".txt", ".cls", ".question", ".answer")


def is_archive(path: Path) -> bool:
    """By its name."""
    return path.name.lower().endswith(ENDINGS)


class Archives:
    """The members of all archives below a folder, by the paths that records may give them."""

    def __init__(self, root: Path) -> None:
        self._files = [path for path in sorted(root.rglob("*")) if is_archive(path) and path.is_file()]
        self._root = root
        self._members: dict[str, Callable[[], bytes]] | None = None

    def read(self, name: str) -> bytes | None:
        """A member by the path that a record gives, or by a longer one that ends in it. Raises ValueError.

        None where no archive has it.
        """
        if self._members is None:
            self._members = {}
            for path in self._files:
                for member, read in _members(path):
                    for key in _keys(member, path):
                        # Archives come in order of name, so the same one wins every time.
                        self._members.setdefault(key, read)
        found = self._members.get(name.removeprefix("./"))
        return None if found is None else found()


def samples(path: Path) -> Iterator[tuple[str, Any]]:
    """Rows of a webdataset shard: members with the same name up to the first dot of its last part are one sample.

    `key.json` gives columns, `key.txt` a question; the picture becomes `image`. In a bad sample's place comes a
    BadRecord.
    """
    try:
        if path.suffix.lower() == ".zip":
            yield from _zip_samples(path)
        else:
            yield from _tar_samples(path)
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError) as error:
        yield path.name, BadRecord(f"{path.name}: not a readable archive ({str(error)[:120]})")


def _tar_samples(path: Path) -> Iterator[tuple[str, Any]]:
    with tarfile.open(path, "r|*") as tar:
        key = ""
        parts: dict[str, bytes | None] = {}
        for number, member in enumerate(tar):
            if number > MAX_MEMBERS:
                raise InvalidDataset(f"{path.name} has more than {MAX_MEMBERS} members", field="source")
            if not (member.isfile() or member.issym() or member.islnk()):
                continue
            name, ending = _split(member.name)
            # Members of a sample follow each other, as webdataset has it, so one sample at a time is held in memory.
            if name != key and parts:
                yield _sample(path, key, parts)
                parts = {}
            key = name
            parts[ending] = _member(tar, member)
        if parts:
            yield _sample(path, key, parts)


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    """Its bytes; none of one that is too large, which is refused with the sample's name; None for a link."""
    if not member.isfile():
        return None
    file = tar.extractfile(member)
    return b"" if file is None or member.size > LARGEST_MEMBER else file.read(LARGEST_MEMBER)


def _zip_samples(path: Path) -> Iterator[tuple[str, Any]]:
    with zipfile.ZipFile(path) as archive:
        groups: dict[str, list[zipfile.ZipInfo]] = {}
        for info in archive.infolist():
            if not info.is_dir():
                groups.setdefault(_split(info.filename)[0], []).append(info)
        for key, members in groups.items():
            try:
                parts = {_split(one.filename)[1]: _zip_bytes(archive, one) for one in members}
            except ValueError as error:
                yield f"{path.name} sample {key}", BadRecord(f"{path.name} sample {key}: {error}")
                continue
            yield _sample(path, key, parts)


def _sample(path: Path, key: str, parts: Mapping[str, bytes | None]) -> tuple[str, Any]:
    where = f"{path.name} sample {key}"
    row: dict[str, Any] = {}
    for ending, data in parts.items():
        if data is None:
            return where, BadRecord(f"{where}: {ending} is a link, which is not followed: put the file there")
        if ending in _PICTURES:
            row["image"] = data
            continue
        try:
            text = data.decode("utf-8-sig")
            value = json.loads(text) if ending == ".json" else text.strip()
        except (ValueError, RecursionError):
            return where, BadRecord(f"{where}: {ending} is not valid {'JSON' if ending == '.json' else 'UTF-8'}")
        if isinstance(value, dict):
            # What has a file of its own wins over a column of that name.
            row = {**value, **row}
        else:
            row[{".txt": "question", ".cls": "answer"}.get(ending, ending.lstrip("."))] = value
    row.setdefault("id", key)
    return where, row


def is_webdataset(path: Path) -> bool:
    """Whether an archive holds samples, not only pictures."""
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                # Texts stand beside their pictures, so the first members tell.
                return any(_split(name)[1] in _TEXTS for name in archive.namelist()[:1000])
        with tarfile.open(path, "r|*") as tar:
            for number, member in enumerate(tar):
                if member.isfile() and _split(member.name)[1] in _TEXTS:
                    return True
                if number > 50:
                    return False
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError):
        return True  # read as samples, so that the damage is named
    return False


def _members(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Members with a function that reads each. Raises InvalidDataset for a compressed tar."""
    if path.suffix.lower() == ".zip":
        archive = zipfile.ZipFile(path)  # open while the import runs: members are read when their record comes
        for info in archive.infolist():
            if not info.is_dir():
                # Defaults bind the loop's values now; a plain closure would read the last member for all.
                yield info.filename, lambda archive=archive, info=info: _zip_bytes(archive, info)  # type: ignore[misc]
        return
    if path.suffix.lower() != ".tar":
        raise InvalidDataset(
            f"{path.name} is a compressed tar, whose pictures cannot be found singly: unpack it (gunzip)",
            field="source",
        )
    with tarfile.open(path) as tar:
        for member in tar:
            if member.isfile():
                start, size = member.offset_data, member.size
                yield member.name, lambda start=start, size=size: _span(path, start, size)  # type: ignore[misc]


def _keys(member: str, path: Path) -> Iterator[str]:
    """The member's own path, and the same below a folder with the archive's name, as unpacking would make it."""
    name = member.removeprefix("./")
    yield name
    yield f"{path.name.split('.')[0]}/{name}"
    head, _, rest = name.partition("/")
    if rest and head == path.name.split(".")[0]:
        yield rest


def _span(path: Path, start: int, size: int) -> bytes:
    if size > LARGEST_MEMBER:
        raise ValueError(f"a member of {path.name} is larger than {LARGEST_MEMBER >> 20} MiB")
    with path.open("rb") as file:
        file.seek(start)
        return file.read(size)


def _zip_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """What a member unpacks to; the size that its header states is not believed."""
    with archive.open(info) as file:
        data = file.read(LARGEST_MEMBER + 1)
    if len(data) > LARGEST_MEMBER:
        raise ValueError(f"{info.filename[-80:]} is larger than {LARGEST_MEMBER >> 20} MiB")
    return data


def _split(name: str) -> tuple[str, str]:
    folder, slash, file = name.rpartition("/")
    stem, dot, ending = file.partition(".")
    return f"{folder}{slash}{stem}", f"{dot}{ending}".lower()
