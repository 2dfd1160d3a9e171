"""Finds out what a source is and yields its records, one after the other in bounded memory."""

import csv
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mstar.errors import InvalidDataset
from mstar_data.archives import ENDINGS as ARCHIVES
from mstar_data.archives import Archives, archives_of, files_below, is_archive, is_webdataset, samples
from mstar_data.columns import from_row
from mstar_data.files import NOT_UTF8, Folder, lines_of
from mstar_data.mapping import Mapping as Columns
from mstar_data.mapping import column_of
from mstar_data.nesting import ShallowFile
from mstar_data.record import BadRecord, Record

ENDINGS = (".jsonl", ".json", ".tsv", ".csv", ".parquet", ".arrow")
LONGEST_HEAD = 64 * 1024
"""Characters of a table's first line that are looked at."""
_PACKED = re.compile(r"\.(?:jsonl?|tsv|csv|parquet|arrow)\.(?:gz|bz2|xz|zst)$", re.IGNORECASE)
_NOT_RECORDS = {"dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json", "import.json"}


def files_of(source: Path) -> list[Path]:
    """The files with records: the one that is named, or those in a folder and its sub-folders, in order of name.

    Raises InvalidDataset where there is none.
    """
    return once(listed_files(source))


def once(files: list[Path]) -> list[Path]:
    """Without the text of a set that is published twice, as Parquet and as text."""
    return [path for path in files if path.suffix.lower() == ".parquet"] or files


def listed_files(source: Path) -> list[Path]:
    """All files with records. Raises InvalidDataset where there is none."""
    if source.is_file():
        if _PACKED.search(source.name):
            raise _compressed(source)
        return [source]
    if not source.is_dir():
        raise InvalidDataset(f"{source} is not there: name a file or a folder", field="source")
    named = (path for path in files_below(source) if path.name not in _NOT_RECORDS)
    found = list(named)
    # Left out without a word, a shard would be missing and nobody would know.
    if packed := next((path for path in found if _PACKED.search(path.name)), None):
        raise _compressed(packed)
    inside = [path for path in found if path.suffix.lower() in ENDINGS]
    if not inside:
        inside = [path for path in archives_of(source) if is_webdataset(path)]
    if not inside:
        raise InvalidDataset(
            f"{source} has no {', '.join(ENDINGS)} file and no webdataset shard: name the one with the records",
            field="source",
        )
    return inside


def _compressed(path: Path) -> InvalidDataset:
    tool = {".gz": "gunzip", ".bz2": "bunzip2", ".xz": "unxz", ".zst": "unzstd"}[path.suffix.lower()]
    return InvalidDataset(f"{path.name} is compressed: unpack it first ({tool} {path.name})", field="source")


def records_of(source: Path, mapping: Columns | None = None) -> Iterator[Record | BadRecord | None]:
    """Every record of a source; in its place a BadRecord for one that cannot be read, None for one filtered out."""
    root = (source if source.is_dir() else source.parent).resolve()
    known: dict[Path, Folder] = {}
    for file in files_of(source):
        split = _split_of(file, root)
        start = file.resolve().parent if file.name.startswith("metadata.") else root
        if is_archive(file):
            # A sample without its picture must not take one of that name from the shard beside it.
            folder = Folder(root, root, Archives(partial(_only, file)), packed=True)
        else:
            folder = known.setdefault(start, Folder(start, root, Archives(partial(archives_of, start))))
        for where, row in rows_of(file):
            try:
                if isinstance(row, BadRecord):
                    raise row
                if not isinstance(row, Mapping):
                    raise BadRecord(f"{where}: a record must be an object with columns")
                named = None
                if mapping is not None:
                    if not mapping.keeps(row):
                        yield None
                        continue
                    named, row = _mapped_split(mapping, row, where), mapping.renamed(row)
                record = from_row(row, where, folder)
                if named is not None:
                    record = replace(record, split=named)
            except BadRecord as bad:
                yield bad
            # Columns hold whatever their author put there; one odd record must not end the import.
            except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
                yield BadRecord(f"{where}: {error}")
            else:
                yield record if record.split or not split else replace(record, split=split)


def _only(file: Path) -> list[Path]:
    return [file]


def rows_of(file: Path) -> Iterator[tuple[str, Any]]:
    """Each row of a file with its place for messages; in its place a BadRecord for one that cannot be read."""
    if is_archive(file):
        return samples(file)
    readers = {
        ".jsonl": _jsonl, ".json": _json, ".tsv": _table, ".csv": _table, ".parquet": _parquet, ".arrow": _arrow,
    }  # fmt: skip
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise InvalidDataset(
            f"{file.name} is none of {', '.join((*ENDINGS, *ARCHIVES))}: name a file with records", field="source"
        )
    return reader(file)


def _mapped_split(mapping: Columns, row: Mapping[str, Any], where: str) -> str | None:
    """The split that the mapping's column names; None without one. Raises BadRecord for a value that is not listed."""
    splits = mapping.splits
    if splits is None or splits.column is None:
        return None
    value = str(column_of(row, splits.column))
    if value not in splits.values:
        raise BadRecord(f"{where}: {splits.column} is {value[:40]!r}, which the mapping's splits do not name")
    return splits.values[value]


def _jsonl(file: Path) -> Iterator[tuple[str, Any]]:
    try:
        for number, line in lines_of(file):
            where = f"{file.name} line {number}"
            try:
                yield where, json.loads(line)
            except (ValueError, RecursionError):
                yield where, BadRecord(f"{where}: not valid JSON")
    except BadRecord as bad:
        yield file.name, bad


def _json(file: Path) -> Iterator[tuple[str, Any]]:
    """A list of records, or an object of them by id as MathVista has it, without holding the file in memory."""
    import ijson

    with file.open("rb") as source:
        # A byte order mark, which Windows programs write, is no JSON (RFC 8259, section 8.1).
        start = 3 if source.read(3) == b"\xef\xbb\xbf" else 0
        source.seek(start)
        opening = source.read(4096).lstrip()[:1]
        source.seek(start)
        shallow = ShallowFile(source)
        try:
            if opening == b"{":
                for key, row in ijson.kvitems(shallow, "", use_float=True):
                    yield f"{file.name} record {key}", row
            else:
                for number, row in enumerate(ijson.items(shallow, "item", use_float=True), 1):
                    yield f"{file.name} record {number}", row
        except (ijson.JSONError, UnicodeDecodeError) as error:
            yield file.name, BadRecord(f"{file.name}: not valid JSON ({_first_line(error)})")
        except BadRecord as bad:
            yield file.name, BadRecord(f"{file.name}: {bad}")


def _table(file: Path) -> Iterator[tuple[str, Any]]:
    """A table with a head line, between tabs, commas or semicolons; images as base64 in `image` (MMBench)."""
    # By default 128 KiB, which is less than many a picture in base64.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with file.open(encoding="utf-8-sig", newline="") as source:
        line = 0
        try:
            separator = _separator(source.readline(LONGEST_HEAD))
            source.seek(0)
            # Not strict, a quote that is never closed would swallow all records behind it without a word.
            reader = csv.DictReader(source, strict=True, delimiter=separator)
            for row in reader:
                line = reader.line_num
                where = f"{file.name} line {line}"
                if None in row:
                    named = len(reader.fieldnames or ())
                    problem = f"{named + len(row[None])} fields, where the head names {named}: quote separators"
                    yield where, BadRecord(f"{where}: {problem}")
                    continue
                yield where, {name: value for name, value in row.items() if name and value}
        except csv.Error as error:
            yield file.name, BadRecord(f"{file.name} behind line {line}: {error}")
        except UnicodeDecodeError:
            yield file.name, BadRecord(f"{file.name} behind line {line}: {NOT_UTF8}")


def _separator(head: str) -> str:
    """What separates fields, by the head line: columns have names without any of the three."""
    return max(",\t;", key=head.count)


def _parquet(file: Path) -> Iterator[tuple[str, Any]]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise InvalidDataset(f"{file.name} is a Parquet file: pip install pyarrow", field="source") from None
    try:
        number = 0
        # Rows hold whole pictures, so few are in memory at a time.
        for batch in parquet.ParquetFile(file).iter_batches(batch_size=64):
            for row in batch.to_pylist():
                number += 1
                yield f"{file.name} row {number}", row
    except (OSError, ValueError) as error:
        yield file.name, BadRecord(f"{file.name}: not a readable Parquet file ({_first_line(error)})")


def _arrow(file: Path) -> Iterator[tuple[str, Any]]:
    """A shard of a data set that `datasets` saved to the disk."""
    import pyarrow

    number = 0
    try:
        with pyarrow.memory_map(str(file)) as source:
            for batch in pyarrow.ipc.open_stream(source):
                for start in range(0, batch.num_rows, 64):
                    for row in batch.slice(start, 64).to_pylist():
                        number += 1
                        yield f"{file.name} row {number}", row
    except (OSError, ValueError) as error:
        yield file.name, BadRecord(f"{file.name}: not a readable Arrow file ({_first_line(error)})")


def _first_line(error: Exception) -> str:
    # Parsers draw below their message where they stand.
    return str(error).partition("\n")[0][:120].strip()


def _split_of(file: Path, root: Path) -> str | None:
    """The split that a file's name or folder tells: `train.jsonl`, `test/metadata.jsonl`, `testmini-00000.parquet`."""
    names = (file.stem.split("-")[0].split("_")[0].casefold(), file.resolve().parent.name.casefold())
    return next((name for name in names if name in KNOWN_SPLITS), None)


KNOWN_SPLITS = {
    "train": "train", "training": "train", "validation": "validation", "val": "validation", "valid": "validation",
    "dev": "validation", "testmini": "validation", "minival": "validation", "test": "test_id", "test_id": "test_id",
    "test_ood": "test_ood", "ood": "test_ood", "steps": "steps", "unlabelled": "unlabelled",
}  # fmt: skip
"""The source's names of splits and what they are here."""
