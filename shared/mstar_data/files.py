"""Opens files of a source: within its bounds only, with bounded lines, in the text encodings that people send."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from mstar.answers.options import parsed
from mstar_data.archives import Archives, NotThere
from mstar_data.bounds import Bounds, Opener
from mstar_data.pictures import ImageFiles, Picture, one_of
from mstar_data.record import BadRecord
from mstar_data.split_names import KNOWN_SPLITS, splits_in

LONGEST_LINE = 64 * 1024 * 1024
"""Bytes; a record with an embedded image of 40 megabytes still fits."""
_BASE64 = re.compile(r"[A-Za-z0-9+/]{64,}={0,2}")
_SHORTEST = 64
_BEGUN = ("iVBORw0KGgo", "/9j/", "_9j_", "UklGR", "R0lGOD")
"""How PNG, JPEG, WebP and GIF begin in base64."""
_FOR_ADDRESSES = str.maketrans("-_", "+/")
_INSIDE = ("bytes", "base64", "data", "url", "path", "image", "file_name", "filename", "src")
_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
NOT_UTF8 = "not UTF-8: save the file in that encoding"
LARGEST_IMAGE = 48 * 1024 * 1024
_USUAL = ("images", "image", "imgs", "img", "png")
"""Folders of pictures that records name without their folder; ChartQA has `png`."""


@dataclass(frozen=True)
class Folder:
    """Where the paths of a file's records begin, and what they may not leave."""

    starts: tuple[Path, ...]
    """Absolute, without links; a path is looked for below each, in this order."""
    bounds: Bounds
    """`../images/1.png` of a split is inside of the source's own folder."""
    archives: Archives = field(default_factory=Archives)
    """Where images are looked for that are not files."""
    packed: bool = False
    """Records that stand in an archive themselves: their images are its members, and no files."""
    within: tuple[str, ...] = ("",)
    """Folders of the archive where their paths may begin, with a slash at the end."""
    pictures: ImageFiles | None = None
    """Where a picture is looked for that has a name without a folder, or an id."""
    file: Path = Path()
    """With the records."""
    split: str | None = None
    """Of the records, where it is known."""

    def has(self, name: str) -> bool:
        """Whether a file of the source goes by this path, from where the records' paths begin."""
        if not self.packed and any(self._leads_to(start / name, Path.is_file) for start in self.starts):
            return True
        return self.archives.has(name, self.within)

    def lost(self, folder: str) -> bool:
        """Whether no folder of the source is called so where paths begin, nor below a usual one."""
        return not any(
            self._leads_to(start / usual / folder, Path.is_dir) for start in self.starts for usual in (".", *_USUAL)
        )

    def _leads_to(self, path: Path, kind: Callable[[Path], bool]) -> bool:
        try:
            real = self.bounds.found(path)
            return real is not None and kind(real)
        except OSError:
            return False  # a text that no file can be called

    def elsewhere(self, name: str, missing: str) -> bytes:
        """A picture that is not where its record says, by its name alone. Raises ValueError, with a hint."""
        if self.pictures is None:
            raise ValueError(missing)
        found = [] if re.search(r"[/\\]", name) else self.pictures.named(name, self.file, self.split)
        if read := one_of(found, name):
            return read()
        if near := self.pictures.alike(name):
            missing += f"; {near} is, whose name differs in the case of letters or in how accents are written"
        raise ValueError(missing)

    def of_id(self, given: object) -> Callable[[], bytes] | None:
        """Reads the picture that goes by an id; None where the source has none."""
        found: list[Picture] = [] if self.pictures is None else self.pictures.of_id(given, self.file, self.split)
        return one_of(found, f"with the id {given}")


def starts_of(file: Path, root: Path) -> tuple[Path, ...]:
    """Where the paths in a file may begin: at its own folder, or at one above it in the source `root`."""
    folder = file.parent.resolve()
    above = [one for one in (folder, *folder.parents) if one.is_relative_to(root)]
    # A file behind a link may speak of what lies beside the link, or beside itself.
    return tuple(dict.fromkeys((folder, *above, root, file.resolve().parent)))


def lines_of(file: Path, opened: Opener) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, numbered from 1. Only a line feed ends one; a byte-order mark is taken off.

    Raises BadRecord for a line that is too long or no UTF-8.
    """
    with opened(file) as source:
        number = 0
        # One byte more than is allowed tells a line that is too long from one that just fits.
        while line := source.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise BadRecord(
                    f"{file.name} line {number}: longer than {LONGEST_LINE >> 20} MiB: cut the file into lines"
                )
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise BadRecord(f"{file.name} line {number}: {NOT_UTF8}") from None
            if text.strip():
                yield number, text


def image_given(given: object, root: Folder, *folders: str) -> Callable[[], bytes]:
    """Reads an image from what a record has: bytes, base64, a `data:` URL, or a path in the source's folder.

    `folders`: of the source's images, where it may lie.
    """
    given = unwrapped(given)
    if isinstance(given, (bytes, bytearray)):
        return lambda: bytes(given)
    if isinstance(given, str) and (given.startswith(("data:", "http:", "https:")) or _is_base64(given)):
        return image_data(given)
    if type(given) is int:
        # Some call a picture by its number, which is its name without the ending.
        return root.of_id(given) or image_file(root, str(given), *_USUAL)
    return image_file(root, given, *_USUAL, *folders, *(f"images/{one}" for one in folders))


def unwrapped(given: object) -> object:
    """What an object around an image holds: bytes, base64, an address or a path; anything else as it is.

    `datasets` writes `{"bytes": …, "path": …}`, which a table has as text, and JSON with its bytes as numbers.
    """
    if isinstance(given, str) and given.startswith("{") and given.rstrip().endswith("}"):
        given = parsed(given)
    if isinstance(given, Mapping):
        given = next((given[name] for name in _INSIDE if given.get(name)), None)
    if isinstance(given, list) and given and all(type(one) is int and 0 <= one < 256 for one in given):
        return bytes(given)
    return given


def _is_base64(text: str) -> bool:
    """Also in lines, and with the signs that addresses take: then the first bytes tell, since a path may have them."""
    return len(text) > _SHORTEST and (text.lstrip().startswith(_BEGUN) or _BASE64.fullmatch(text) is not None)


def image_file(root: Folder, name: object, *folders: str) -> Callable[[], bytes]:
    """Reads an image by the path that a record gives: from the source's folder, its sub-folders, or archives in it.

    Links are followed only within the bounds. Backslashes, which Windows writes, separate folders too.
    """

    def read() -> bytes:
        if not isinstance(name, str) or not name or "\x00" in name or len(name) > 1000:
            raise ValueError("the image is missing: give its path")
        try:
            return _read_named(root, name, folders)
        # A name that is too long, links in a circle, a file that may not be read.
        except OSError as error:
            raise ValueError(f"image {name[:200]} cannot be read ({error.strerror})") from None

    return read


def _read_named(root: Folder, name: str, folders: tuple[str, ...]) -> bytes:
    """Raises ValueError and OSError."""
    outside = False
    for place, path in enumerate(() if root.packed else _places(root, name, folders)):
        real = root.bounds.found(path)
        if real is not None and real.is_file():
            return read_picture(root.bounds, real)
        outside = outside or (place == 0 and real is None)
    if outside:
        raise ValueError(
            f"image {name[:200]} lies outside of the data set's folder and of the data root: move it into one"
        )
    inside = tuple(f"{one}{folder}" for one in root.within for folder in ("", *(f"{one}/" for one in folders)))
    try:
        return root.archives.read(name.replace("\\", "/"), inside if root.packed else root.within)
    except NotThere as missing:
        rest = _without_lost_folder(root, name)
        if not rest:
            return root.elsewhere(name, str(missing))
        try:
            return _read_named(root, rest, folders)
        except ValueError:
            return root.elsewhere(name, str(missing))


def _without_lost_folder(root: Folder, name: str) -> str:
    """`x_1.png` of DocVQA's `documents/x_1.png`, whose pictures are published in a folder of another name.

    Empty where the path's first folder is in the source, or says of which split its pictures are: these may be missing.
    """
    first, _, rest = name.replace("\\", "/").removeprefix("./").partition("/")
    known = first in ("", ".", "..") or splits_in(first) or first.casefold() in KNOWN_SPLITS
    return rest if rest and not root.packed and not known and root.lost(first) else ""


def image_data(text: object) -> Callable[[], bytes]:
    """Decodes an image from base64, with or without a `data:` URL around it. Other URLs are never fetched."""

    def read() -> bytes:
        if not isinstance(text, str) or text.startswith(("http:", "https:", "file:", "ftp:")):
            raise ValueError("the image must be in the data set, as a path or as base64: addresses are never fetched")
        data = text.partition(";base64,")[2] if text.startswith("data:") else text
        data = "".join(data.split()).translate(_FOR_ADDRESSES)
        try:
            return base64.b64decode(data + "=" * (-len(data) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("the image is not valid base64") from None

    return read


def _places(root: Folder, name: str, folders: tuple[str, ...]) -> Iterator[Path]:
    # Names in addresses have `%20` for a space, and some have no ending.
    endings = () if Path(name).suffix.lower() in _ENDINGS else _ENDINGS
    for spelled in dict.fromkeys((name, name.replace("\\", "/"), unquote(name), *(name + one for one in endings))):
        for start in root.starts:
            for folder in (".", *folders):
                yield start / folder / spelled


def read_picture(bounds: Bounds, path: Path) -> bytes:
    """A picture's file, of a bounded size. Raises ValueError and OSError."""
    with bounds.open(path) as file:
        # One byte more than is allowed, so that a file of any size costs no more memory than that.
        data = file.read(LARGEST_IMAGE + 1)
    if len(data) > LARGEST_IMAGE:
        raise ValueError(f"image {path.name} is larger than {LARGEST_IMAGE >> 20} MiB: scale it down")
    return data
