"""Images and samples inside tar and zip files, read in place: nothing is unpacked to the disk.

A zip and an uncompressed tar give any member at once. A compressed tar is read from its start for every member, so only
its samples can be used (webdataset), one after the other.
"""

import json
import posixpath
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any

from mstar_data.bounds import Bounds, Opener, OutOfBounds, walked
from mstar_data.record import BadRecord
from mstar_data.tars import UNREADABLE, is_compressed, places_of, stream_of
from mstar_data.zips import LARGEST_MEMBER, files_in, opened_zip, unzipped

ENDINGS = (".tar", ".zip", ".tgz", ".tar.gz")
LARGEST_SAMPLE = 2 * LARGEST_MEMBER
"""Bytes of all members of one sample, a picture and texts, which are in memory together."""
_TOO_MUCH = f"makes the sample larger than {LARGEST_SAMPLE >> 20} MiB"
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_TEXTS = (".json", ".txt", ".cls", ".question", ".answer")


def is_archive(path: Path) -> bool:
    """By its name."""
    return path.name.lower().endswith(ENDINGS)


def archives_of(folder: Path, bounds: Bounds) -> list[Path]:
    """All archives below a folder."""
    return [path for path in files_below(folder, bounds) if is_archive(path)]


def files_below(folder: Path, bounds: Bounds) -> list[Path]:
    """Files in a folder and its sub-folders, in order of name: no hidden ones, and none behind a link that leads out.

    Raises InvalidDataset.
    """
    return sorted(walked(bounds, folder))


def open_nothing(path: Path) -> BufferedReader:
    """For readers that are given no archive."""
    raise OutOfBounds(f"{path.name[:80]} is not an archive of the data set")


class NotThere(ValueError):
    """A picture that no archive has, and no folder."""


class Archives:
    """The members of archives, by the paths that records may give them. `files` is called when one is asked for."""

    def __init__(self, opened: Opener = open_nothing, files: Callable[[], Sequence[Path]] = tuple) -> None:
        self._opened = opened
        self._files = files
        self._members: dict[str, Callable[[], bytes]] | None = None
        self._each: list[tuple[Path, str, Callable[[], bytes]]] = []
        self._unread: list[str] = []

    def read(self, name: str, within: Sequence[str] = ("",)) -> bytes:
        """A member by its path, or by the path that it has once its archive is unpacked. Raises ValueError.

        `within`: folders in which the path may begin.
        """
        members = self._known()
        named = (posixpath.normpath(f"{folder}{name.removeprefix('./')}") for folder in within)
        found = next((members[one] for one in named if one in members), None)
        if found is None:
            raise NotThere("; ".join((f"image {name[:200]} is not there", *self._unread[:3])))
        return found()

    def has(self, name: str, within: Sequence[str] = ("",)) -> bool:
        """Whether a member goes by this path."""
        return any(posixpath.normpath(f"{folder}{name}") in self._known() for folder in within)

    def listing(self) -> Iterator[tuple[Path, str, Callable[[], bytes]]]:
        """Each member that can be read singly: its archive, its path in it, and what reads it."""
        self._known()
        yield from self._each

    def _known(self) -> dict[str, Callable[[], bytes]]:
        if self._members is None:
            self._members = self._listed()
        return self._members

    def _listed(self) -> dict[str, Callable[[], bytes]]:
        members: dict[str, Callable[[], bytes]] = {}
        for path in self._files():
            try:
                for member, read in _members(path, self._opened):
                    self._each.append((path, member, read))
                    for key in _keys(member, path):
                        # Archives come in order of name, so the same one wins every time.
                        members.setdefault(key, read)
            except (ValueError, *UNREADABLE) as error:
                said = str(error) if isinstance(error, ValueError) else _unreadable(path, error)
                self._unread.append(said)
        return members


def samples(path: Path, opened: Opener) -> Iterator[tuple[str, Any]]:
    """Rows of a webdataset shard: members with the same name up to the first dot of its last part are one sample.

    `key.json` gives columns, `key.txt` a question, `key.answer.txt` an answer; the picture becomes `image`, several
    `images`. In a bad sample's place comes a BadRecord.
    """
    try:
        yield from _zip_samples(path, opened) if _is_zip(path) else _tar_samples(path, opened)
    except UNREADABLE as error:
        yield path.name, BadRecord(_unreadable(path, error))
    except ValueError as error:
        yield path.name, BadRecord(str(error))


def _tar_samples(path: Path, opened: Opener) -> Iterator[tuple[str, Any]]:
    key, size = "", 0
    parts: dict[str, bytes | str] = {}
    for tar, member in stream_of(path, opened):
        if not (member.isfile() or member.issym() or member.islnk()):
            continue
        name, ending = _split(member.name)
        # Members of a sample follow each other, as webdataset has it, so one sample at a time is held in memory.
        if name != key and parts:
            yield _sample(path, key, parts)
            parts, size = {}, 0
        key = name
        if not member.isfile():
            parts[ending] = "is a link, which is not followed: put the file there"
        elif member.size > LARGEST_MEMBER:
            parts[ending] = f"is larger than {LARGEST_MEMBER >> 20} MiB"
        elif size + member.size > LARGEST_SAMPLE:
            # In place of all its parts, which are let go: any number of members may differ in their endings only.
            if size <= LARGEST_SAMPLE:
                parts = {ending: _TOO_MUCH}
            size = LARGEST_SAMPLE + 1
        else:
            size += member.size
            file = tar.extractfile(member)
            parts[ending] = b"" if file is None else file.read()
    if parts:
        yield _sample(path, key, parts)


def _zip_samples(path: Path, opened: Opener) -> Iterator[tuple[str, Any]]:
    with opened_zip(path, opened) as archive:
        # Over the whole directory, since members of a zip may stand in any order, unlike those of a webdataset's tar.
        groups: dict[str, list[zipfile.ZipInfo]] = {}
        for info in files_in(archive):
            groups.setdefault(_split(info.filename)[0], []).append(info)
        for key, members in groups.items():
            try:
                parts = _unzipped_parts(archive, members)
            except ValueError as error:
                yield f"{path.name} sample {key}", BadRecord(f"{path.name} sample {key}: {error}")
                continue
            yield _sample(path, key, parts)


def _unzipped_parts(archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo]) -> dict[str, bytes | str]:
    """Ending → content. Raises ValueError."""
    parts: dict[str, bytes | str] = {}
    size = 0
    for one in members:
        ending = _split(one.filename)[1]
        data = unzipped(archive, one)
        size += len(data)
        if size > LARGEST_SAMPLE:
            raise ValueError(f"{ending} {_TOO_MUCH}")
        parts[ending] = data
    return parts


def _sample(path: Path, key: str, parts: Mapping[str, bytes | str]) -> tuple[str, Any]:
    """`parts`: ending → content, or what is wrong with it."""
    where = f"{path.name} sample {key}"
    row: dict[str, Any] = {}
    pictures: list[bytes] = []
    for ending, data in parts.items():
        if isinstance(data, str):
            return where, BadRecord(f"{where}: {ending} {data}")
        if ending.endswith(_PICTURES):
            pictures.append(data)
            continue
        is_json = ending.endswith(".json")
        try:
            text = data.decode("utf-8-sig")
            value = json.loads(text) if is_json else text.strip()
        except (ValueError, RecursionError):
            return where, BadRecord(f"{where}: {ending} is not valid {'JSON' if is_json else 'UTF-8'}")
        if isinstance(value, dict):
            # What has a file of its own wins over a column of that name.
            row = {**value, **row}
        else:
            row[_column(ending)] = value
    if pictures:
        row |= {"image": pictures[0]} if len(pictures) == 1 else {"images": pictures}
    row.setdefault("id", key)
    return where, row


def _column(ending: str) -> str:
    """The column that a text of a sample is: `.question.txt` says it; `.txt` alone is a question, `.cls` an answer."""
    named = ending.removesuffix(".txt").removesuffix(".json").lstrip(".")
    return {"": "question", "cls": "answer"}.get(named, named)


def is_webdataset(path: Path, opened: Opener) -> bool:
    """Whether an archive holds samples, not only pictures. One that cannot be read counts, so that it is named."""
    try:
        if _is_zip(path):
            with opened_zip(path, opened) as archive:
                # Texts stand beside their pictures, so the first members tell.
                return any(_split(name)[1].endswith(_TEXTS) for name in archive.namelist()[:1000])
        for number, (_, member) in enumerate(stream_of(path, opened)):
            if member.isfile() and _split(member.name)[1].endswith(_TEXTS):
                return True
            # Texts would have come beside the first pictures; a compressed tar must not be unpacked whole to be told.
            if number > 50:
                return False
    except (ValueError, *UNREADABLE):
        return True
    return False


def _members(path: Path, opened: Opener) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Members with a function that reads each. Raises ValueError, also for a compressed tar, and what is UNREADABLE."""
    if _is_zip(path):
        archive = opened_zip(path, opened)  # open while the import runs: members are read when their record comes
        for info in files_in(archive):
            # Defaults bind the loop's values now; a plain closure would read the last member for all.
            yield info.filename, lambda archive=archive, info=info: unzipped(archive, info)  # type: ignore[misc]
        return
    if is_compressed(path, opened):
        raise ValueError(f"{path.name} is a compressed tar, whose pictures cannot be found singly: unpack it (gunzip)")
    for name, start, size in places_of(path, opened):
        yield name, lambda start=start, size=size: _span(path, opened, start, size)  # type: ignore[misc]


def _keys(member: str, path: Path) -> Iterator[str]:
    """The member's own path, and the same below a folder with the archive's name, as unpacking would make it."""
    name = member.removeprefix("./")
    yield name
    yield f"{path.name.split('.')[0]}/{name}"
    head, _, rest = name.partition("/")
    if rest and head == path.name.split(".")[0]:
        yield rest


def _span(path: Path, opened: Opener, start: int, size: int) -> bytes:
    if size > LARGEST_MEMBER:
        raise ValueError(f"a member of {path.name} is larger than {LARGEST_MEMBER >> 20} MiB")
    with opened(path) as file:
        file.seek(start)
        return file.read(size)


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _unreadable(path: Path, error: Exception) -> str:
    return f"{path.name} is not a readable archive ({str(error)[:120]})"


def _split(name: str) -> tuple[str, str]:
    folder, slash, file = name.rpartition("/")
    stem, dot, ending = file.partition(".")
    return f"{folder}{slash}{stem}", f"{dot}{ending}".lower()
