"""Writes a source's records as a data set of the project: a folder a split, images once by content hash.

An import is one transaction: everything is written into a hidden folder beside the target, which is renamed at the end.
One that is killed leaves the hidden folder, and the same command goes on from there; one that is refused leaves
nothing.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from mstar.errors import Conflict, InvalidDataset
from mstar_data.bounds import Bounds, Opener, bounds_of, open_plainly, state_of
from mstar_data.duplicates import Duplicates
from mstar_data.files import lines_of
from mstar_data.looks import Fingerprint, Looks
from mstar_data.mapping import read_mapping
from mstar_data.rows import AS_IT_IS, ImportedRow, ReadOptions, read_rows
from mstar_data.sources import files_of
from mstar_data.summary import Summary, require_records

CHECKPOINT_EVERY = 2000
"""Records between two points from which a killed import goes on."""


class Unfinished(Exception):
    """An import that is interrupted. What it has is kept, and the next one of the same source goes on from there."""


def import_source(
    source: Path,
    target: Path,
    options: ReadOptions = AS_IT_IS,
    *,
    skip_bad: bool = False,
    tick: Callable[[int], None] = lambda records: None,
    looks: Looks | None = None,
    turn: Callable[[], None] = lambda: None,
) -> Summary:
    """Write the data set `target`, or nothing.

    `tick` is told how many records of the source are done. `looks`, `turn`: as for `read_rows`; `turn` and `tick` may
    raise Unfinished, which is passed on. Raises Conflict where the target is there already or another import makes it,
    and InvalidDataset where records are bad (unless they may be skipped) or none is left.
    """
    if target.exists():
        raise Conflict(f"{target} exists already: choose another name, or remove it", field="name")
    # Beside the target, so that the last step is a rename within one file system.
    hidden, bounds = target.with_name(f".{target.name}.importing"), bounds_of(source, options.reach)
    work = _Work(hidden, _settings(source, options, skip_bad, bounds), skip_bad, bounds)
    with work:
        try:
            rows = read_rows(
                source, work.summary, options, work.duplicates, work.place, looks=looks, turn=turn, bounds=bounds
            )
            for row in rows:
                work.write(row)
                tick(row.place)
            _check(work.summary, skip_bad)
            require_records(work.summary, source)
        except Unfinished:
            raise
        # Ctrl-C is not an Exception: an import that is stopped by hand keeps what it has, and goes on later.
        except Exception:
            work.remove()
            raise
        work.finish(target, source, options)
    return work.summary


def options_of(mapping: Path | None = None, **given: Any) -> ReadOptions:
    """Options with a mapping file and the list of held-out ids that it names. Raises InvalidInput."""
    if mapping is None:
        return ReadOptions(**given)
    reach = given.get("reach")
    # On their own machine people write mappings that name what they like.
    opened = bounds_of(mapping, reach).open if reach is not None and reach.binding else open_plainly
    read = read_mapping(mapping, opened)
    held_out: frozenset[str] = frozenset()
    if read.splits is not None and read.splits.held_out is not None:
        held_out = _ids_in(mapping.parent / read.splits.held_out, opened)
    return ReadOptions(mapping=read, held_out=held_out, **given)


def _ids_in(path: Path, opened: Opener) -> frozenset[str]:
    if not path.is_file():
        raise InvalidDataset(f"{path} is not there: the mapping's splits.held_out names it", field="mapping")
    try:
        return frozenset(line.strip() for _, line in lines_of(path, opened))
    except (OSError, ValueError) as error:
        raise InvalidDataset(f"the mapping's splits.held_out cannot be read: {error}", field="mapping") from None


class _Work:
    """The hidden folder of an import that is under way."""

    def __init__(self, folder: Path, settings: str, skip_bad: bool, bounds: Bounds) -> None:
        self.folder, self._settings, self._skip_bad, self._bounds = folder, settings, skip_bad, bounds
        self.summary, self.duplicates, self.place = Summary(), Duplicates(), 0
        self._outputs: dict[str, IO[str]] = {}
        self._lock: IO[str] | None = None
        self._pictures: set[str] = set()
        self._ids: set[tuple[str, str]] = set()
        self._since = 0

    def __enter__(self) -> "_Work":
        self.folder.mkdir(parents=True, exist_ok=True)
        # The kernel drops the lock with the process, so nobody has to unlock by hand after a killed import.
        self._lock = (self.folder / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict(f"another import of {self.folder.name} is running: wait for it", field="name") from None
        if not self._continued():
            for path in self.folder.iterdir():
                if path.name != ".lock":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        return self

    def __exit__(self, *_: object) -> None:
        self._close_outputs()
        if self._lock is not None:
            self._lock.close()

    def _close_outputs(self) -> None:
        for output in self._outputs.values():
            output.close()

    def write(self, row: ImportedRow) -> None:
        """Write a record and its new images; every so often, a point to go on from."""
        # Images before the line that names them, so that no line of a killed import names one that is not there.
        for name, data in zip(row.names, row.images, strict=True):
            image = self.folder / row.split / "images" / name
            if not image.exists():
                image.parent.mkdir(parents=True, exist_ok=True)
                image.write_bytes(data)
                self.summary.images += 1
        files = [f"images/{name}" for name in row.names]
        several = {"file_names": files} if files else {}
        named = {"file_name": files[0]} if len(files) == 1 else several
        self._line(f"{row.split}/metadata.jsonl", {**named, **row.columns, **self._id(row)})
        if row.twin:
            self._line("duplicates.jsonl", {"record": row.where, "split": row.split, "doubles": row.twin})
        *keys, picture = row.seen
        digest, look = "", list[str]()
        if picture is not None:
            digest = picture.sha256
            look = [] if digest in self._pictures else [f"{picture.outline:x}", picture.colours.hex()]
            self._pictures.add(digest)
        self._line(".seen.jsonl", [*(key.hex() for key in keys), row.split, digest, *look])
        self.place = row.place
        self._since += 1
        if self._since >= CHECKPOINT_EVERY:
            self._checkpoint()

    def _id(self, row: ImportedRow) -> dict[str, str]:
        """The record's id, if it has one; sets give one for a picture, and repeat it for each question about that."""
        given = row.columns.get("id")
        if given is None:
            return {}
        name = given if (row.split, given) not in self._ids else f"{given}#{row.place}"
        self._ids.add((row.split, name))
        return {"id": name}

    def remove(self) -> None:
        """Take everything back."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def finish(self, target: Path, source: Path, options: ReadOptions) -> None:
        """Leave only the data set, under its name."""
        # Closed first: what is still buffered would be missing from the files that are renamed.
        self._close_outputs()
        for name in (".seen.jsonl", ".checkpoint.json"):
            (self.folder / name).unlink(missing_ok=True)
        provenance = {
            "source": source.name,
            "licence": options.mapping.licence if options.mapping is not None else None,
            "mapping": options.mapping.model_dump(mode="json", exclude_defaults=True) if options.mapping else None,
            "dropped_kinds": sorted(options.drop),
            "evaluation_sets": sorted(options.evaluation),
            **self._counted().as_json(),
            "beyond": {folder: state_of(Path(folder)) for folder in self.summary.beyond},
        }
        text = json.dumps(provenance, indent=1, ensure_ascii=False) + "\n"
        (self.folder / "import.json").write_text(text, encoding="utf-8")
        self.folder.rename(target)
        # Held until the folder has its name: another import that got it before would cut or empty these files.
        (target / ".lock").unlink(missing_ok=True)

    def _counted(self) -> Summary:
        self.summary.beyond = sorted({*self.summary.beyond, *map(str, self._bounds.beyond)})
        return self.summary

    def _line(self, name: str, value: Any) -> None:
        if name not in self._outputs:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._outputs[name] = path.open("a", encoding="utf-8", newline="\n")
        self._outputs[name].write(json.dumps(value, ensure_ascii=False) + "\n")

    def _checkpoint(self) -> None:
        sizes = {}
        for name, output in self._outputs.items():
            # Flushed before its size is noted: what lies behind these sizes is cut off when the import goes on.
            output.flush()
            sizes[name] = os.fstat(output.fileno()).st_size
        point = {"settings": self._settings, "place": self.place, "sizes": sizes, "summary": self._counted().as_json()}
        # Replaced in one step: a torn checkpoint would lose all that was done before it.
        fresh = self.folder / ".checkpoint.new"
        fresh.write_text(json.dumps(point))
        fresh.replace(self.folder / ".checkpoint.json")
        self._since = 0

    def _continued(self) -> bool:
        """Whether a killed import of the same source can go on; its files are then cut to the last point."""
        path = self.folder / ".checkpoint.json"
        if not path.is_file():
            return False
        try:
            point = json.loads(path.read_text())
            if point["settings"] != self._settings:
                return False
            # Images may have been corrected since, and to go on would refuse them unread at the end.
            if point["summary"]["bad"] and not self._skip_bad:
                return False
            for file in self.folder.rglob("*.jsonl"):
                os.truncate(file, point["sizes"].get(str(file.relative_to(self.folder)), 0))
            self._forget_images()
            self._ids = set(_ids_of(self.folder))
            self._remember(self.folder / ".seen.jsonl")
            self.summary, self.place = Summary.from_json(point["summary"]), point["place"]
        # Whatever is damaged: the import begins again, which costs time and nothing else.
        except (ValueError, KeyError, TypeError, OSError):
            self.duplicates, self._pictures, self._ids = Duplicates(), set(), set()
            return False
        return True

    def _forget_images(self) -> None:
        """Remove images of records after the last point: the last of them may be torn, and none of them is counted."""
        for folder in self.folder.glob("*/images"):
            named = _images_of(folder.with_name("metadata.jsonl"))
            for image in folder.iterdir():
                if f"images/{image.name}" not in named:
                    image.unlink()

    def _remember(self, path: Path) -> None:
        # Not part of the checkpoint, which would grow with the source and be written again every 2,000 records.
        looks: dict[str, Fingerprint] = {}
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                record, question, answer, split, sha256, *look = json.loads(line)
                if look:
                    looks[sha256] = Fingerprint(sha256, int(look[0], 16), bytes.fromhex(look[1]))
                keys = [bytes.fromhex(key) for key in (record, question, answer)]
                self.duplicates.see(keys[0], keys[1], keys[2], [looks[sha256]] if sha256 else (), split)
        self._pictures = set(looks)


def is_current(folder: Path) -> bool:
    """Whether an import is whole, and what it read beyond its source is as it was then."""
    try:
        # Written last, so without it the folder is part of an import.
        beyond = json.loads((folder / "import.json").read_text(encoding="utf-8")).get("beyond", {})
    except (OSError, ValueError):
        return False
    return all(state_of(Path(one)) == state for one, state in beyond.items())


def _images_of(metadata: Path) -> set[str]:
    """Images that the records of a split name; none where there is no record yet."""
    if not metadata.is_file():
        return set()
    with metadata.open(encoding="utf-8") as lines:
        rows = (json.loads(line) for line in lines)
        return {name for row in rows for name in row.get("file_names", [row.get("file_name")])}


def _ids_of(folder: Path) -> Iterator[tuple[str, str]]:
    """Split and id of all records that have one."""
    for metadata in folder.glob("*/metadata.jsonl"):
        with metadata.open(encoding="utf-8") as lines:
            yield from ((metadata.parent.name, row["id"]) for row in map(json.loads, lines) if "id" in row)


def _check(summary: Summary, skip_bad: bool) -> None:
    if summary.bad and not skip_bad:
        shown = "\n  ".join(summary.complaints)
        raise InvalidDataset(
            f"{summary.bad} records cannot be used:\n  {shown}\ncorrect them, or leave them out with --skip-bad",
            field="source",
        )


def _settings(source: Path, options: ReadOptions, skip_bad: bool, bounds: Bounds) -> str:
    """Changes with the source's files and with how they are read."""
    # Size and time of change, not content: hashing would read the whole source once more.
    files: Iterable[Any] = (
        (str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files_of(source, bounds)
    )
    content = [sorted(files), repr(options), skip_bad]
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()
