"""Records in JSON: a list, lists in an object, an object of records by id, and lines, whatever the file is called."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

from mstar_data.bounds import Opener
from mstar_data.files import lines_of
from mstar_data.nesting import ShallowFile
from mstar_data.record import BadRecord
from mstar_data.split_names import KNOWN_SPLITS

Rows = Iterator[tuple[str, Any]]
LONGEST_FIRST = 8 * 1024 * 1024
"""Bytes of a first line that is looked at to tell lines from one document."""
MOST_LISTS = 64


def json_rows(file: Path, opened: Opener) -> Rows:
    """Each row with its place, in bounded memory; in its place a BadRecord for one that cannot be read."""
    import ijson

    try:
        yield from _rows(file, opened)
    except (ijson.JSONError, UnicodeDecodeError) as error:
        # Parsers draw below their message where they stand.
        said = str(error).partition("\n")[0][:120].strip()
        yield file.name, BadRecord(f"{file.name}: not valid JSON ({said})")
    except BadRecord as bad:
        yield file.name, BadRecord(f"{file.name}: {bad}")


def _rows(file: Path, opened: Opener) -> Rows:
    with opened(file) as source:
        opening = _opening(source)
        lines = opening == b"{" and _is_lines(source)
    if lines:
        yield from line_rows(file, opened)
    elif opening != b"{":
        yield from _listed(file, opened, "")
    elif keys := _lists_in(file, opened):
        for key in keys:
            yield from _listed(file, opened, key)
    else:
        yield from _by_id(file, opened)


def line_rows(file: Path, opened: Opener) -> Rows:
    """JSON lines; a file that is called so and holds one list is read as that."""
    with opened(file) as source:
        if _opening(source) == b"[":
            yield from json_rows(file, opened)
            return
    try:
        for number, line in lines_of(file, opened):
            where = f"{file.name} line {number}"
            try:
                yield where, json.loads(line)
            except (ValueError, RecursionError):
                yield where, BadRecord(f"{where}: not valid JSON")
    except BadRecord as bad:
        yield file.name, bad


def _opening(source: BufferedReader) -> bytes:
    """The first sign, behind a byte order mark, which Windows programs write (RFC 8259, section 8.1)."""
    if source.peek(3)[:3] == b"\xef\xbb\xbf":
        source.read(3)
    # Looked at and not read: what is being unpacked cannot go back.
    return source.peek(4096).lstrip()[:1]


def _is_lines(source: BufferedReader) -> bool:
    """Whether the first line is a whole object, and another begins behind it."""
    first = source.readline(LONGEST_FIRST)
    if len(first) == LONGEST_FIRST or source.readline(LONGEST_FIRST).lstrip()[:1] != b"{":
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _listed(file: Path, opened: Opener, key: str) -> Rows:
    """The objects of the list at the top, or of the list that an object has under a key, which may be a split."""
    import ijson

    path, name = (f"{key}.item", f"{file.name} {key}") if key else ("item", f"{file.name} record")
    split = {"split": key} if key.casefold() in KNOWN_SPLITS else {}
    with opened(file) as source:
        _opening(source)
        for number, row in enumerate(ijson.items(ShallowFile(source), path, use_float=True), 1):
            yield f"{name} {number}", {**split, **row} if isinstance(row, Mapping) else row


def _by_id(file: Path, opened: Opener) -> Rows:
    """The objects of an object, as MathVista and ScienceQA have them; the questions about one picture, as AI2D."""
    import ijson

    picture = None
    with opened(file) as source:
        _opening(source)
        for key, row in ijson.kvitems(ShallowFile(source), "", use_float=True):
            if key == "imageName":
                picture = row
            elif picture is not None and key == "questions" and isinstance(row, Mapping):
                yield from _about(file, picture, row)
            else:
                # What the record is called stands outside of it.
                yield f"{file.name} record {key}", {"id": key, **row} if isinstance(row, Mapping) else row


def _about(file: Path, picture: Any, questions: Mapping[str, Any]) -> Rows:
    """AI2D's: the options are `answerTexts`, and `correctAnswer` counts them from 0."""
    # Where letters are asked for, they stand in another edition of the picture.
    lettered = (file.parent.parent / "abc_images").is_dir()
    for text, about in questions.items():
        where = f"{file.name} question {text[:60]!r}"
        if not isinstance(about, Mapping):
            yield where, BadRecord(f"{where}: it must be an object with answerTexts and correctAnswer")
            continue
        image = f"abc_images/{picture}" if lettered and about.get("abcLabel") is True else picture
        named = {"id": about.get("questionId"), "question": text, "image": image}
        yield where, {**named, "choices": about.get("answerTexts"), "answer": about.get("correctAnswer")}


def _lists_in(file: Path, opened: Opener) -> list[str]:
    """The keys of an object whose values are lists of objects: `data`, or a key for each split."""
    import ijson

    found: list[str] = []
    key, depth, before = "", 0, ""
    with opened(file) as source, suppress(ijson.JSONError):  # who reads the records is told of damage in its place
        _opening(source)
        for event, value in ijson.basic_parse(ShallowFile(source), use_float=True):
            if event == "map_key" and depth == 1:
                key = value
            elif event == "start_map" and depth == 2 and before == "start_array" and len(found) < MOST_LISTS:
                found.append(key)
            depth += (event in ("start_map", "start_array")) - (event in ("end_map", "end_array"))
            before = event
    return found
