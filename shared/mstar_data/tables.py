"""Tables with a head line, and what their numbers have before their decimals."""

import csv
import io
import re
import sys
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from mstar.answers.records import GOLD_COLUMNS
from mstar_data.bounds import Opener
from mstar_data.columns import spelled
from mstar_data.decimals import Decimal, sign_of
from mstar_data.files import NOT_UTF8
from mstar_data.mapping import Mapping as Columns
from mstar_data.packed import kind_of
from mstar_data.record import BadRecord
from mstar_data.zips import UNREADABLE

LONGEST_HEAD = 64 * 1024
"""Characters of a table's first line that are looked at."""
_SAID = re.compile(r'"?sep=([,;|\t])"?', re.IGNORECASE)


def table_rows(file: Path, opened: Opener) -> Iterator[tuple[str, Any]]:
    """A table with a head line, between tabs, commas, semicolons or bars; images as base64 in `image` (MMBench)."""
    # By default 128 KiB, which is less than many a picture in base64.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with io.TextIOWrapper(opened(file), encoding="utf-8-sig", newline="") as source:
        line = 0
        try:
            # Read once, since what is being unpacked cannot go back.
            head, separator = _head(source)
            # Not strict, a quote that is never closed would swallow all records after it without a word.
            reader = csv.DictReader(chain([head], source), strict=True, delimiter=separator)
            heads = [name.strip().casefold() for name in reader.fieldnames or () if name.strip()]
            if twice := sorted({name for name in heads if heads.count(name) > 1}):
                # Of two columns one would count, and nobody would know which.
                yield file.name, BadRecord(f"{file.name}: the head names {twice[0][:40]!r} twice: rename one")
                return
            for row in reader:
                line = reader.line_num
                where = f"{file.name} line {line}"
                if not any(row.values()):
                    continue  # spreadsheets write empty lines as separators alone
                if None in row:
                    named = len(reader.fieldnames or ())
                    problem = f"{named + len(row[None])} fields, where the head names {named}: quote separators"
                    yield where, BadRecord(f"{where}: {problem}")
                    continue
                yield where, {name: value for name, value in row.items() if name and value}
        except csv.Error as error:
            said = f"{error}; put a field with quotation marks into such marks, and double those in it"
            yield file.name, BadRecord(f"{file.name} after line {line}: {said}")
        except UnicodeDecodeError:
            yield file.name, BadRecord(f"{file.name} after line {line}: {NOT_UTF8}")


def _head(source: TextIO) -> tuple[str, str]:
    """The head line and what separates its fields; a line `sep=;` before it, which Excel reads, says that."""
    head = source.readline(LONGEST_HEAD)
    if named := _SAID.fullmatch(head.strip()):
        return source.readline(LONGEST_HEAD), named[1]
    return head, _separator(head)


def _separator(head: str) -> str:
    """What separates fields, by the head line: columns have names without any of the four."""
    return max(",\t;|", key=head.count)


def decimal_of(file: Path, opened: Opener, mapping: Columns | None) -> Decimal:
    """What a file's numbers have before their decimals: what the mapping says, else what the file itself shows.

    Fields are separated by semicolons where a comma is wanted for numbers.
    """
    if mapping is not None and mapping.decimal is not None:
        return mapping.decimal
    if kind_of(file) not in (".csv", ".tsv"):
        return "."
    try:
        with io.TextIOWrapper(opened(file), encoding="utf-8-sig", newline="") as source:
            if _head(source)[1] != ";":
                return "."
        return sign_of(_answers(file, opened, mapping))
    # Who reads the records is told of it in its place.
    except (OSError, ValueError, csv.Error, *UNREADABLE):
        return "."


def _answers(file: Path, opened: Opener, mapping: Columns | None) -> Iterator[str]:
    for _, row in table_rows(file, opened):
        if isinstance(row, Mapping):
            known = spelled(row if mapping is None else mapping.renamed(row))
            yield next((str(known[name]) for name in GOLD_COLUMNS if known.get(name)), "")
