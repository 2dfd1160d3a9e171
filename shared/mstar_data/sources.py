"""Finds out what a source is and yields its records, one after the other in bounded memory."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mstar.errors import InvalidDataset
from mstar.split_shares import is_split_name
from mstar_data.archives import ENDINGS as ARCHIVES
from mstar_data.archives import Archives, archives_of, is_archive, is_webdataset, samples
from mstar_data.bounds import Bounds, Opener, OutOfBounds, bounds_of, walked
from mstar_data.columns import from_row
from mstar_data.decimals import Decimal, with_points
from mstar_data.files import Folder, read_picture, starts_of
from mstar_data.joined import joined_rows, pairs_of
from mstar_data.json_records import json_rows, line_rows
from mstar_data.mapping import Mapping as Columns
from mstar_data.mapping import column_of
from mstar_data.packed import kind_of, unpacked
from mstar_data.pictures import ImageFiles
from mstar_data.record import BadRecord, Record
from mstar_data.several import apart
from mstar_data.split_names import KNOWN_SPLITS, splits_in
from mstar_data.tables import decimal_of, table_rows
from mstar_data.zipped_records import member_opener, record_members
from mstar_data.zips import UNREADABLE

_PACKABLE = (".jsonl", ".ndjson", ".json", ".tsv", ".csv", ".parquet")
ENDINGS = (*_PACKABLE, ".arrow")
SHEETS = (".xlsx", ".xls", ".xlsm", ".ods")
_ELSE = (".txt", ".yaml", ".yml", ".xml", ".pkl", ".pickle", ".npy", ".npz", ".pt", ".h5", ".db", ".sqlite", ".lance")
"""What people keep records in as well."""
_ARROW_FILE = b"ARROW1"
_PACKED = re.compile(r"\.(?:parquet|arrow)\.(?:gz|bz2|xz|zst)$", re.IGNORECASE)
_OF_PICTURE = re.compile(r"\.(?:png|jpe?g)\.json$", re.IGNORECASE)
_NOT_RECORDS = {
    "dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json", "import.json", "pid_splits.json",
    "categories.json", "logic_form.json",
}  # fmt: skip


def files_of(source: Path, bounds: Bounds) -> list[Path]:
    """The files with records: the one that is named, or those in a folder and its sub-folders, in order of name.

    Raises InvalidDataset where there is none.
    """
    files = listed_files(source, bounds)
    root = source if source.is_dir() else source.parent
    said = {_usual(_split_of(path, root)) for path in files if path.suffix.lower() == ".parquet"}
    # A split that is there as text alone is no second edition of another that is there as Parquet.
    apart_from = [path for path in files if (own := _usual(_split_of(path, root))) and own not in said]
    kept = {*once(files), *(apart_from if None not in said else ())}
    return [path for path in files if path in kept]


def _usual(split: str | None) -> str | None:
    return None if split is None else KNOWN_SPLITS[split]


def once(files: list[Path]) -> list[Path]:
    """Without the text of a set that is published twice, as Parquet and as text."""
    return [path for path in files if path.suffix.lower() == ".parquet"] or files


def listed_files(source: Path, bounds: Bounds) -> list[Path]:
    """All files with records. Raises InvalidDataset where there is none."""
    if source.is_file():
        if _PACKED.search(source.name):
            raise _compressed(source)
        return [source]
    if not source.is_dir():
        raise InvalidDataset(f"{source} does not exist: name a file or a folder", field="source")
    found = [path for path in sorted(walked(bounds, source, enters=_has_records)) if path.name not in _NOT_RECORDS]
    if away := next((path for path in found if path.name.casefold() in KNOWN_SPLITS and path.is_dir()), None):
        raise InvalidDataset(
            f"{away.name} is a link out of the data set's folder and of the data root: move it into one", field="source"
        )
    # Left out without a word, a shard would be missing and nobody would know.
    if packed := next((path for path in found if _PACKED.search(path.name)), None):
        raise _compressed(packed)
    inside = [path for path in found if kind_of(path) in ENDINGS and not _is_annotation(path)]
    if not inside:
        inside = [path for path in archives_of(source, bounds) if _holds_records(path, bounds.open)]
    if not inside and (sheet := next((path for path in found if path.suffix.lower() in SHEETS), None)):
        raise _sheet(sheet)
    if not inside:
        others = sorted({path.suffix for path in found if path.suffix in _ELSE})
        hint = f" (files of {', '.join(others)} are not read: write them as one of these)" if others else ""
        raise InvalidDataset(
            f"{source} has no {', '.join(ENDINGS)} file and no webdataset shard{hint}: name the one with the records",
            field="source",
        )
    return inside


def _compressed(path: Path) -> InvalidDataset:
    # These formats pack their own columns, and are not read from their start to their end.
    tool = {".gz": "gunzip", ".bz2": "bunzip2", ".xz": "unxz", ".zst": "unzstd"}[path.suffix.lower()]
    return InvalidDataset(f"{path.name} is compressed: unpack it first ({tool} {path.name})", field="source")


def _sheet(path: Path) -> InvalidDataset:
    return InvalidDataset(
        f"{path.name} is a spreadsheet: save its table as CSV in UTF-8, and name that", field="source"
    )


def _holds_records(archive: Path, opened: Opener) -> bool:
    # One that cannot be read counts as a webdataset, so that it is named.
    return is_webdataset(archive, opened) or bool(record_members(archive, opened, _PACKABLE))


def _has_records(link: Path, beside: Sequence[str]) -> bool:
    """Whether records behind a linked folder belong to the set: those of a split, or where none lie beside the link.

    Beside records a link leads to their pictures, which may lie in the folder of another set.
    """
    return link.name.casefold() in KNOWN_SPLITS or not any(kind_of(Path(name)) in ENDINGS for name in beside)


def _is_annotation(path: Path) -> bool:
    """Whether a file describes pictures: beside AI2D's or CLEVR's questions, or in ChartQA."""
    above = path.parent.parent
    charts = (above / "tables").is_dir() and (above / "png").is_dir()
    if (above / "questions").is_dir():
        # VQA has its answers in a folder of that name.
        return path.parent.name == "scenes" or (
            path.parent.name == "annotations" and bool(_OF_PICTURE.search(path.name))
        )
    return charts and path.parent.name in ("annotations", "tables")


@dataclass(frozen=True)
class _Part:
    """A file of records, in a folder or in a zip."""

    shown: str
    """Its path in the source, for messages."""
    name: str
    split: str | None
    """Which its name or folder tells."""
    folder: Folder
    rows: Iterator[tuple[str, Any]]
    decimal: Decimal = "."
    """What its numbers have before their decimals."""
    further: str | None = None
    """The folder that it lies in, beside folders of known splits."""


def records_of(
    source: Path, mapping: Columns | None = None, bounds: Bounds | None = None
) -> Iterator[Record | BadRecord | None]:
    """Every record of a source; in its place a BadRecord for one that cannot be read, None for one filtered out."""
    for part in _parts(source, bounds or bounds_of(source), mapping):
        for place, row in part.rows:
            # Splits have files of the same name, so messages say the folder too.
            where = part.shown + place.removeprefix(part.name)
            for inside, one in apart(row):
                yield _record(one, where + inside, part, mapping)


def _record(row: Any, where: str, part: _Part, mapping: Columns | None) -> Record | BadRecord | None:
    try:
        if isinstance(row, BadRecord):
            raise BadRecord(part.shown + str(row).removeprefix(part.name))
        if not isinstance(row, Mapping):
            raise BadRecord(f"{where}: a record must be an object with columns")
        named = None
        if mapping is not None:
            if not mapping.keeps(row):
                return None
            named, row = _mapped_split(mapping, row, where), mapping.renamed(row)
        record = from_row(row, where, part.folder)
        record = replace(record, gold=with_points(record.gold, part.decimal))
        if named is not None:
            record = replace(record, split=named)
    except BadRecord as bad:
        return bad
    # Columns hold whatever their author put there; one odd record must not end the import.
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        return BadRecord(f"{where}: {error}")
    if record.split is None and part.further is not None:
        return replace(record, split=part.further, own_split=is_split_name(part.further))
    return record if record.split or not part.split else replace(record, split=part.split)


def _parts(source: Path, bounds: Bounds, mapping: Columns | None) -> Iterator[_Part]:
    root = source if source.is_dir() else source.parent
    known: dict[Path, Archives] = {}
    files = files_of(source, bounds)
    everywhere = Archives(bounds.open, partial(archives_of, root, bounds))
    pictures = ImageFiles(root, bounds, files, everywhere, partial(read_picture, bounds))
    pairs = {pair.questions: pair for pair in pairs_of(files, root, bounds.open, mapping)}
    answers = {pair.answers for pair in pairs.values()}
    for file in files:
        if file in answers:
            continue
        shown, starts = str(file.relative_to(root)), starts_of(file, root.resolve())
        if is_archive(file):
            # A sample without its picture must not take one of that name from the shard beside it.
            folder = Folder(starts, bounds, Archives(bounds.open, partial(_only, file)), packed=True)
            yield from _packed_parts(file, shown, _split_of(file, root), folder, mapping)
            continue
        start = starts[0] if file.name.startswith("metadata.") else root
        archives = known.setdefault(start, Archives(bounds.open, partial(archives_of, start, bounds)))
        split = _split_of(file, root)
        folder = Folder(starts, bounds, archives, pictures=pictures, file=file, split=split)
        if file in pairs:
            # Its problems may be those of either file, so they come with their paths.
            yield _Part("", "", split, folder, _readable(file, joined_rows(pairs[file], root, bounds.open)))
        else:
            sign = decimal_of(file, unpacked(bounds.open), mapping)
            further = _further(file, files) if split is None else None
            yield _Part(shown, file.name, split, folder, rows_of(file, bounds), sign, further)


def _packed_parts(
    file: Path, shown: str, split: str | None, folder: Folder, mapping: Columns | None
) -> Iterator[_Part]:
    """The samples of a webdataset, or each file of records in a zip."""
    opened = folder.bounds.open
    try:
        members = record_members(file, opened, _PACKABLE)
    except UNREADABLE:
        members = []  # who reads the samples is told why
    for member in map(Path, members):
        above = [f"{one}/" for one in member.parents if one != Path()]
        inside = member_opener(file, opened)
        rows = _readable(member, _reader(member)(member, inside))
        own = _split_of(Path(file.stem) / member, Path(file.stem)) or split
        sign = decimal_of(member, inside, mapping)
        yield _Part(f"{shown}/{member}", member.name, own, replace(folder, within=(*above, "")), rows, sign)
    if not members:
        yield _Part(shown, file.name, split, folder, samples(file, opened))


def _only(file: Path) -> list[Path]:
    return [file]


def rows_of(file: Path, bounds: Bounds) -> Iterator[tuple[str, Any]]:
    """Each row of a file with its place for messages; in its place a BadRecord for one that cannot be read."""
    if is_archive(file):
        return samples(file, bounds.open)
    return _readable(file, _reader(file)(file, unpacked(bounds.open)))


def _reader(file: Path) -> Callable[[Path, Opener], Iterator[tuple[str, Any]]]:
    """What reads a file, by its name. Raises InvalidDataset."""
    readers = {
        ".jsonl": line_rows, ".ndjson": line_rows, ".json": json_rows, ".tsv": table_rows, ".csv": table_rows,
        ".parquet": _parquet, ".arrow": _arrow,
    }  # fmt: skip
    reader = readers.get(kind_of(file))
    if reader is None and file.suffix.lower() in SHEETS:
        raise _sheet(file)
    if reader is None:
        raise InvalidDataset(
            f"{file.name} is not one of {', '.join((*ENDINGS, *ARCHIVES))}: name a file with records", field="source"
        )
    return reader


def _readable(file: Path, rows: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The rows; a BadRecord in the place of those that a file does not give."""
    try:
        yield from rows
    except OutOfBounds as error:
        yield file.name, BadRecord(str(error))
    except UNREADABLE as error:
        said = error.strerror if isinstance(error, OSError) else None
        yield file.name, BadRecord(f"{file.name} cannot be read ({said or str(error)[:120]})")


def _mapped_split(mapping: Columns, row: Mapping[str, Any], where: str) -> str | None:
    """The split that the mapping's column names; None without one. Raises BadRecord for a value that is not listed."""
    splits = mapping.splits
    if splits is None or splits.column is None:
        return None
    value = str(column_of(row, splits.column))
    if value not in splits.values:
        raise BadRecord(f"{where}: {splits.column} is {value[:40]!r}, which the mapping's splits do not name")
    return splits.values[value]


def _parquet(file: Path, opened: Opener) -> Iterator[tuple[str, Any]]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise InvalidDataset(f"{file.name} is a Parquet file: pip install pyarrow", field="source") from None
    try:
        number = 0
        # Rows hold whole pictures, so few are in memory at a time.
        with opened(file) as source:
            for batch in parquet.ParquetFile(source).iter_batches(batch_size=64):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{file.name} row {number}", row
    except (OSError, ValueError) as error:
        yield file.name, BadRecord(f"{file.name}: not a readable Parquet file ({_first_line(error)})")


def _arrow(file: Path, opened: Opener) -> Iterator[tuple[str, Any]]:
    """A shard of a data set that `datasets` saved to the disk."""
    import pyarrow

    number = 0
    try:
        # Mapped by its descriptor, since a batch of a thousand pictures would be read into memory otherwise.
        with opened(file) as held, pyarrow.memory_map(f"/dev/fd/{held.fileno()}") as source:
            # `datasets` writes streams, and Arrow's own writers files, which begin with their name.
            kept = source.read(len(_ARROW_FILE)) == _ARROW_FILE
            source.seek(0)
            for batch in _batches(pyarrow.ipc.open_file(source)) if kept else pyarrow.ipc.open_stream(source):
                for start in range(0, batch.num_rows, 64):
                    for row in batch.slice(start, 64).to_pylist():
                        number += 1
                        yield f"{file.name} row {number}", row
    except (OSError, ValueError) as error:
        yield file.name, BadRecord(f"{file.name}: not a readable Arrow file ({_first_line(error)})")


def _batches(file: Any) -> Iterator[Any]:
    return (file.get_batch(place) for place in range(file.num_record_batches))


def _first_line(error: Exception) -> str:
    # Parsers draw below their message where they stand.
    return str(error).partition("\n")[0][:120].strip()


def _further(file: Path, files: Sequence[Path]) -> str | None:
    """The folder of an image folder's records that lies beside those of known splits: without it they would train."""
    beside = (
        path.parent.name.casefold() in KNOWN_SPLITS
        for path in files
        if path.name == file.name and path.parent.parent == file.parent.parent
    )
    return file.parent.name if file.name.startswith("metadata.") and any(beside) else None


def _split_of(file: Path, root: Path) -> str | None:
    """The split that a file's name or folder tells: `train.jsonl`, `test/metadata.jsonl`, `testmini-00000.parquet`."""
    folders = [one.name for one in file.parents if one == root or root in one.parents]
    # `.` has no name of its own; a link below it is called as the user called it.
    folders[-1] = root.resolve().name
    names = [re.split(r"[-_.]", file.name)[0].casefold()]
    # What stands further after counts where it is one split: `v2_mscoco_val2014_annotations.json`.
    inner = splits_in(file.name)
    names += [*(inner if len(inner) == 1 else ()), *map(str.casefold, folders)]
    return next((name for name in names if name in KNOWN_SPLITS), None)
