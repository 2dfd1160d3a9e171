"""Reads the published files of a benchmark: finds them in a folder, and yields items with their images.

Files are read as they were downloaded: JSON, JSON lines, tables with tabs, Parquet. Nothing is fetched.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mstar.errors import InvalidDataset, InvalidInput
from mstar.judges import Benchmark, Item
from mstar.reach import Reach
from mstar_data.archives import Archives, archives_of
from mstar_data.bounds import Bounds, bounds_of
from mstar_data.columns import image_of
from mstar_data.files import Folder, starts_of
from mstar_data.record import BadRecord
from mstar_data.sources import listed_files, once, rows_of

_SPLITS = {"mathvista": ("testmini",), "m3cot": ("test",)}
"""Splits that are measured, where the published files have others too."""
_OTHERS = ("train", "validation", "val", "dev", "test", "testmini")
_REFERENCE = 64
"""An image column with fewer characters than this holds the index of the row that has the image (MMBench)."""


@dataclass(frozen=True)
class Shown:
    """An item and its image file's bytes."""

    item: Item
    image: bytes


def benchmark_files(benchmark: Benchmark, data: Path, reach: Reach | None = None) -> list[Path]:
    """Files of a benchmark in a folder that may hold several; a file or a folder with one benchmark is taken whole.

    Raises InvalidDataset where nothing fits, or where editions stand side by side.
    """
    if data.is_file():
        return [data]
    found = [file for file in listed_files(data, bounds_of(data, reach)) if file.name != "dataset_infos.json"]
    named = [file for file in found if re.search(benchmark.files, str(file.relative_to(data)).lower())]
    if not named and not re.search(benchmark.files, data.resolve().name.lower()):
        raise InvalidDataset(
            f"{data} has no file of {benchmark.title}: put the published files below a folder with its name, or name "
            f"them with --data {benchmark.name}=PATH",
            field="data",
        )
    return _one_edition(benchmark, once(_measured(benchmark, named or found)), data)


def _measured(benchmark: Benchmark, files: Sequence[Path]) -> list[Path]:
    """The files of the splits that count, where names tell them apart."""
    wanted = _SPLITS.get(benchmark.name, ("test", "dev", "val", "validation"))
    splits = {
        file: next((one for one in _OTHERS if re.split(r"[-_.]", file.name.lower())[0] == one), "") for file in files
    }
    fitting = [file for file in files if splits[file] in wanted]
    return fitting or [file for file in files if splits[file] == ""] or list(files)


def _one_edition(benchmark: Benchmark, files: list[Path], data: Path) -> list[Path]:
    """Shards of one table belong together; tables of other names are other editions (languages, versions, masks)."""
    # What is left of a name without the number of its shard is the name of the table.
    names = sorted({re.sub(r"-\d{5}-of-\d{5}.*", "", file.stem) for file in files})
    if len(names) > 1:
        raise InvalidDataset(
            f"{data} has several editions of {benchmark.title} ({', '.join(names[:6])}): name the one to measure with "
            f"--data {benchmark.name}=PATH",
            field="data",
        )
    return files


def items_of(benchmark: Benchmark, data: Path, limit: int | None = None, reach: Reach | None = None) -> Iterator[Shown]:
    """Items of a benchmark in the order of its files, without those that its table leaves out.

    `limit`: this many questions of each group at most, for a quick look. `reach`: where links may lead besides `data`.
    Raises InvalidDataset naming file and place.
    """
    files = benchmark_files(benchmark, data, reach)
    bounds = bounds_of(data, reach)
    pictures = _Pictures((data if data.is_dir() else data.parent).resolve(), bounds)
    taken: dict[str, set[str]] = {}
    rotated = _has_rotations(benchmark, files, bounds)
    seen: set[str] = set()
    for file in files:
        for where, row in rows_of(file, bounds):
            item = _item(benchmark, where, row)
            # Read also for an item that is left out: a later row may have the index of this one as its image.
            image = pictures.of(row, item.id, where, file)
            if not benchmark.keeps(item) or not _within(taken, item, limit):
                continue
            if item.id in seen:
                raise InvalidDataset(
                    f"{where}: id {item.id[:80]!r} is given twice: is the file in the folder twice?", field="id"
                )
            seen.add(item.id)
            rotations = (item,) if rotated or benchmark.rotations is None else benchmark.rotations(item)
            for one in rotations:
                yield Shown(one, image)
    if not seen:
        raise InvalidDataset(f"{data} has no item of {benchmark.title}", field="data")


def digest_of(items: Iterable[tuple[Item, bytes]]) -> str:
    """Changes when a question, an option, a reference answer or an image changes.

    `items`: each with the SHA-256 of its image file, 32 bytes.
    """
    digest = hashlib.sha256()
    for item, image in items:
        digest.update(item.model_dump_json().encode())
        digest.update(image)
    return digest.hexdigest()


def _item(benchmark: Benchmark, where: str, row: Any) -> Item:
    if isinstance(row, BadRecord):
        raise InvalidDataset(str(row), field="data")
    if not isinstance(row, Mapping):
        raise InvalidDataset(f"{where}: a record must be an object with columns", field="data")
    try:
        item = benchmark.read(row)
        if not item.id:
            raise InvalidDataset("the id is missing: the benchmark's file has one for every question", field="id")
    except InvalidInput as error:
        raise InvalidDataset(f"{where}: {error.detail}", field=error.field) from None
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InvalidDataset(f"{where}: a field has the wrong type ({error})", field="data") from None
    return item


def _within(taken: dict[str, set[str]], item: Item, limit: int | None) -> bool:
    questions = taken.setdefault(item.group, set())
    # A question with its rotations counts once, or a limit would cut a circle apart.
    key = item.circle or item.id
    if limit is not None and key not in questions and len(questions) >= limit:
        return False
    questions.add(key)
    return True


def _has_rotations(benchmark: Benchmark, files: Sequence[Path], bounds: Bounds) -> bool:
    """Whether the file asks each question once for every rotation already."""
    if benchmark.rotations is None:
        return False
    for file in files:
        for where, row in rows_of(file, bounds):
            item = _item(benchmark, where, row)
            # CircularEval (arXiv 2307.06281): a rotation has an id of its own, and the question's as `circle`.
            if item.circle != item.id:
                return True
    return False


class _Pictures:
    """Images of rows; a table that repeats a question keeps the image in the first row and its index in the others."""

    def __init__(self, root: Path, bounds: Bounds) -> None:
        self._root, self._bounds = root, bounds
        self._kept: dict[str, bytes] = {}
        self._folders: dict[Path, Folder] = {}

    def of(self, row: Mapping[str, Any], index: str, where: str, file: Path) -> bytes:
        given = row.get("image")
        if isinstance(given, (str, int)) and str(given).isdigit() and len(str(given)) < _REFERENCE:
            if str(given) not in self._kept:
                raise InvalidDataset(f"{where}: image names row {given}, which has none before it", field="image")
            return self._kept[str(given)]
        data = self._read(row, where, file)
        # Only tables with an index refer to earlier rows; of others no picture is kept in memory.
        if row.get("index") is not None:
            self._kept[index] = data
        return data

    def _read(self, row: Mapping[str, Any], where: str, file: Path) -> bytes:
        """Paths of images start at the file's folder, or at one above it in the data set; each may have archives."""
        problem: ValueError | None = None
        for root in starts_of(file, self._root):
            try:
                return image_of(row, self._folder(root))()
            except ValueError as error:
                problem = problem or error
        raise InvalidDataset(f"{where}: {problem}", field="image")

    def _folder(self, root: Path) -> Folder:
        if root not in self._folders:
            archives = Archives(self._bounds.open, partial(archives_of, root, self._bounds))
            self._folders[root] = Folder((root,), self._bounds, archives)
        return self._folders[root]
