"""The folder that a run's questions are read from: `data.source` itself, or what is imported from it.

A source in somebody else's shape is imported once, below the coordinator's folder, under a key of its files and of how
they are read; runs that name the same source share the import. One that is stopped continues where it stopped. Where a
source has changed, nothing opens its old import any more; `collect_imports` removes what nobody has opened for long.
"""

import fcntl
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import IO

from mstar.errors import InvalidDataset, InvalidInput
from mstar.reach import Reach
from mstar.recipes import DataRecipe, Recipe, split_field
from mstar_coordinator.dataset_rows import METADATA
from mstar_data.bounds import Bounds, bounds_of, walked
from mstar_data.importing import import_source, is_current, options_of
from mstar_data.looks import Looks
from mstar_data.rows import ReadOptions
from mstar_data.split_names import KNOWN_SPLITS
from mstar_data.summary import Summary

IMPORTS = Path(".mstar") / "imports"
_RULES = "4"
"""Goes up with the rules of the importer: what was read by older ones is imported again."""
_WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class Opened:
    """A folder with a sub-folder per split."""

    folder: Path
    summary: Summary | None = None
    """Of the import; None where the source is such a folder itself."""
    bounds: Bounds | None = field(default=None, compare=False)
    """What its paths may lead to; None for its own folder alone."""


def open_source(
    recipe: Recipe,
    splits: Mapping[str, int],
    home: Path,
    looks: Looks,
    turn: Callable[[], None] = lambda: None,
    tick: Callable[[int], None] = lambda records: None,
    reach: Reach | None = None,
) -> Opened:
    """The folder of a recipe's questions, imported where it must be.

    `splits`: those that the data set must have. `reach`: where its paths may lead. `turn` is called for every record
    and while another import of the same source is waited for; it may raise Unfinished, which keeps what is done.
    Raises InvalidDataset for what cannot be read, and InvalidInput for a mapping that cannot.
    """
    data = recipe.data
    source = Path(data.source)
    if not data.imports and is_prepared(source, splits):
        return Opened(source, bounds=bounds_of(source, reach))
    try:
        options = _options(data, reach)
        key = (home / IMPORTS / _key(source, options, data.skip_bad)).absolute()
        with _locked(key.with_name(f"{key.name}.lock"), turn):
            target = _target(key)
            if not target.exists():
                import_source(source, target, options, skip_bad=data.skip_bad, looks=looks, turn=turn, tick=tick)
    except InvalidDataset as error:
        raise InvalidDataset(error.detail, field="data.source") from None
    except InvalidInput as error:
        raise InvalidInput(error.detail, field="data.mapping") from None
    summary = _summary(target)
    _require_splits(source, splits, summary)
    return Opened(target, summary)


def _target(key: Path) -> Path:
    """The import of a key that is current, else where the next one goes.

    What an import read beyond its source is in no key: it is known once it was read. A run may still read an import
    that is out of date, so it stays until nobody opens the key any more.
    """
    names = (key if again == 0 else key.with_name(f"{key.name}-{again}") for again in count())
    return next(one for one in names if not one.exists() or is_current(one))


def is_prepared(source: Path, splits: Mapping[str, int]) -> bool:
    """Whether a source is a folder in the project's own layout: it has a wanted split, and none by a foreign name."""
    if not source.is_dir():
        return False
    # `test` beside `train` is an image folder as the Hub has it, whose splits the importer knows.
    foreign = (name for name, ours in KNOWN_SPLITS.items() if name != ours and not (source / ours).exists())
    return any((source / split / METADATA).is_file() for split in splits) and not any(
        (source / name / METADATA).is_file() for name in foreign
    )


def _options(data: DataRecipe, reach: Reach | None) -> ReadOptions:
    """Raises InvalidInput for a mapping that cannot be read."""
    return options_of(
        None if data.mapping is None else Path(data.mapping),
        shares=dict(data.split) or None,
        first_index=data.first_index,
        answers=data.answers,
        unlabelled=data.unlabelled > 0,
        reach=reach,
    )


def _key(source: Path, options: ReadOptions, skip_bad: bool) -> str:
    """Changes with each file of the source and with how it is read. Raises InvalidDataset where it is not there."""
    if not source.exists():
        raise InvalidDataset(f"{source} is not there", field="data.source")
    # Names, sizes and times, not content: hashing every picture would take as long as the import.
    seen = hashlib.sha256(json.dumps([_RULES, str(source), repr(options), skip_bad]).encode())
    for name, size, changed in sorted(_files(source, bounds_of(source, options.reach))):
        seen.update(f"{name}\0{size}\0{changed}\n".encode(errors="surrogateescape"))
    return seen.hexdigest()[:32]


def _files(source: Path, bounds: Bounds) -> Iterator[tuple[str, int, int]]:
    # The pictures of a file lie beside it.
    for path in walked(bounds, source.parent if source.is_file() else source, hidden=True):
        try:
            found = path.stat()
        except OSError:
            continue  # a link to nowhere
        yield str(path), found.st_size, found.st_mtime_ns


@contextmanager
def _locked(path: Path, turn: Callable[[], None]) -> Iterator[None]:
    """One import of a source at a time, by whatever process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a") as file:
            # Says when the import was asked for last, before it can be taken for one that nobody needs.
            os.utime(path)
            if not _took(file, path):
                turn()
                time.sleep(_WAIT_SECONDS)
                continue
            yield
            return


def _took(file: IO[str], path: Path) -> bool:
    """Whether the lock is ours now, and the file still the one of that name: who collects imports removes it."""
    try:
        # The kernel drops it with the process, so a killed import holds up nobody.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def collect_imports(home: Path, older_than: float) -> list[str]:
    """Remove imports that no run has opened for this many seconds, whole or begun; their keys.

    A run that still needs one imports it again: it is a copy of the source in another shape.
    """
    removed = []
    for path in sorted((home / IMPORTS).glob("*.lock")):
        if time.time() - path.stat().st_mtime < older_than:
            continue
        with path.open("a") as file:
            # Looked at again under the lock: who opens it now has set the time before.
            if not _took(file, path) or time.time() - path.stat().st_mtime < older_than:
                continue
            for folder in (*path.parent.glob(f"{path.stem}*"), *path.parent.glob(f".{path.stem}*.importing")):
                gone = folder.with_name(f".tmp-{folder.name}-{uuid.uuid4().hex}")
                if folder.is_dir():
                    # One rename, so that half of an import is never taken for a whole one.
                    folder.rename(gone)
                    shutil.rmtree(gone, ignore_errors=True)
            path.unlink()
            removed.append(path.stem)
    return removed


def _summary(folder: Path) -> Summary:
    values = json.loads((folder / "import.json").read_text(encoding="utf-8"))
    return Summary.from_json({name: value for name, value in values.items() if name in Summary.__dataclass_fields__})


def _require_splits(source: Path, splits: Mapping[str, int], summary: Summary) -> None:
    """Raises InvalidDataset for a split without any record, which says how to make one."""
    for split, wanted in splits.items():
        if wanted and not summary.records.get(split):
            there = ", ".join(f"{name} {count}" for name, count in sorted(summary.records.items()))
            raise InvalidDataset(
                f"{source.name} has no records of {split} (it has {there}): divide them, as in data.split="
                f"{{train: 0.8, validation: 0.1, test_id: 0.1}}, or lower {split_field(split)}",
                field="data.source",
            )
