"""Finds the pictures of a source by their names alone, for records that leave the folder out or give an id.

VQA and TextVQA name a picture by its id, CLEVR and VizWiz by its file without the folder. One that could be another
set's, or another split's, is not taken, and of several none.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath
from typing import TypeVar

from mstar_data.archives import Archives
from mstar_data.bounds import Bounds, walked
from mstar_data.split_names import KNOWN_SPLITS, splits_in

_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_NUMBERED = re.compile(r"(?:.*\D)?(\d{6,12})|(\d{1,5})", re.DOTALL)
"""Names that end in a padded number, as COCO's do, and those that are one."""
_LONG_ID = 6
"""Characters."""
_SHOWN = 3
K = TypeVar("K")


@dataclass(frozen=True)
class Picture:
    """A picture file of a source, or a member of an archive in it."""

    path: PurePosixPath
    """In the source, for messages."""
    read: Callable[[], bytes]


class ImageFiles:
    """All pictures of a source; it is looked through when one is asked for."""

    def __init__(
        self, root: Path, bounds: Bounds, records: Iterable[Path], archives: Archives, read: Callable[[Path], bytes]
    ) -> None:
        """`records`: the source's files with records, which say whose the pictures beside and below them are."""
        self._root, self._bounds, self._archives, self._read = root, bounds, archives, read
        self._owned = {PurePosixPath(file.parent.relative_to(root)) for file in records}

    def named(self, name: str, beside: Path, split: str | None) -> list[Picture]:
        """The pictures that are called so, without a folder, and may belong to records of a file."""
        return self._fitting(self._by_name.get(name, ()), beside, split)

    def of_id(self, given: object, beside: Path, split: str | None) -> list[Picture]:
        """The pictures whose name is an id, or ends in it: `COCO_train2014_000000458752.jpg` of 458752."""
        text = str(given)
        found = self._by_stem.get(text, ())
        if not found and re.fullmatch(r"\d{1,12}", text):
            found = self._by_number.get(int(text), ())
        fitting = self._fitting(found, beside, split)
        # Long ids are nobody else's: TextVQA's validation shows pictures that lie in `train_images`.
        return fitting or (self._fitting(found, beside, None) if len(text) >= _LONG_ID else [])

    def alike(self, name: str) -> str:
        """The path of a picture whose name differs only in the case of letters or in how accents are written."""
        wanted = PurePosixPath(name.replace("\\", "/"))
        found = self._by_look.get(_look(wanted.name), ())
        # The one with most of the folders in common, since many sets call their pictures `1.png` in each of them.
        ranked = sorted(found, key=lambda one: _shared(one.path, wanted), reverse=True)
        last = len(wanted.parts)
        near = (one.path for one in ranked if _shared(one.path, wanted) == last)
        return next((str(path) for path in near if path.parts[-last:] != wanted.parts), "")

    def _fitting(self, found: Sequence[Picture], beside: Path, split: str | None) -> list[Picture]:
        own = PurePosixPath(beside.parent.relative_to(self._root))
        return [one for one in found if self._is_of(one.path, own) and not _is_other(one.path, split)]

    def _is_of(self, picture: PurePosixPath, folder: PurePosixPath) -> bool:
        """Whether the records nearest to a picture are those of a folder, or of none."""
        nearest = next((one for one in picture.parents if one in self._owned), None)
        return nearest is None or folder.is_relative_to(nearest)

    @cached_property
    def _all(self) -> list[Picture]:
        files = sorted(path for path in walked(self._bounds, self._root) if _may_be(path))
        found = [Picture(PurePosixPath(path.relative_to(self._root)), _reader(self._read, path)) for path in files]
        inside = (one for one in self._packed() if _may_be(one.path))
        return [*found, *inside]

    def _packed(self) -> Iterator[Picture]:
        for archive, member, read in self._archives.listing():
            # One that would land elsewhere when it is unpacked lies in no folder of the source.
            if member.startswith("/") or ".." in PurePosixPath(member).parts:
                continue
            yield Picture(PurePosixPath(archive.relative_to(self._root)) / member, read)

    @cached_property
    def _by_name(self) -> dict[str, list[Picture]]:
        return _grouped(self._all, lambda path: path.name)

    @cached_property
    def _by_stem(self) -> dict[str, list[Picture]]:
        return _grouped(self._all, lambda path: path.stem)

    @cached_property
    def _by_look(self) -> dict[str, list[Picture]]:
        return _grouped(self._all, lambda path: _look(path.name))

    @cached_property
    def _by_number(self) -> dict[int, list[Picture]]:
        return _grouped(self._all, lambda path: _number(path.stem))


def has_pictures(source: Path, bounds: Bounds) -> bool:
    """Whether a folder has a file that is called as a picture, wherever in it; a file has none."""
    return source.is_dir() and any(path.name.lower().endswith(_ENDINGS) for path in walked(bounds, source))


def one_of(found: Sequence[Picture], called: str) -> Callable[[], bytes] | None:
    """The reader of the only picture; None without one. Of several, one that raises ValueError naming some of them."""
    if len(found) < 2:
        return found[0].read if found else None

    def read() -> bytes:
        shown = ", ".join(str(one.path) for one in found[:_SHOWN])
        raise ValueError(f"image {called[:200]} may be any of {len(found)} ({shown}): give its path from the source")

    return read


def _may_be(path: PurePath) -> bool:
    """By its name alone. SEED-Bench's pictures have no ending; what else has none goes by no record's id."""
    return path.name.lower().endswith(_ENDINGS) or not path.suffix


def _grouped(pictures: Iterable[Picture], key: Callable[[PurePosixPath], K | None]) -> dict[K, list[Picture]]:
    found: dict[K, list[Picture]] = {}
    for one in pictures:
        if (name := key(one.path)) is not None:
            found.setdefault(name, []).append(one)
    return found


def _reader(read: Callable[[Path], bytes], path: Path) -> Callable[[], bytes]:
    return lambda: read(path)


def _number(stem: str) -> int | None:
    found = _NUMBERED.fullmatch(stem)
    return int(found[1] or found[2]) if found else None


def _look(name: str) -> str:
    """A name as people see it."""
    return unicodedata.normalize("NFC", name).casefold()


def _shared(path: PurePosixPath, wanted: PurePosixPath) -> int:
    """How many of the last parts of two paths look the same."""
    count = 0
    for one, other in zip(reversed(path.parts), reversed(wanted.parts), strict=False):
        if _look(one) != _look(other):
            break
        count += 1
    return count


def _is_other(picture: PurePosixPath, split: str | None) -> bool:
    """Whether a picture's folders and name say another split than its record has."""
    named = {KNOWN_SPLITS[one] for part in picture.parts for one in splits_in(part)}
    own = KNOWN_SPLITS.get(split.casefold()) if split else None
    return own is not None and bool(named) and own not in named
