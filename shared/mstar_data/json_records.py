"""Records in JSON: a list, lists in an object, an object of records by id, and lines, whatever the file is called."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

from mstar.answers.records import QUESTION_COLUMNS
from mstar_data.bounds import Opener
from mstar_data.files import lines_of
from mstar_data.nesting import ShallowFile
from mstar_data.packed import kind_of
from mstar_data.record import BadRecord
from mstar_data.split_names import KNOWN_SPLITS
from mstar_data.zips import UNREADABLE

Rows = Iterator[tuple[str, Any]]
LONGEST_FIRST = 8 * 1024 * 1024
"""Bytes of a first line that is looked at to tell lines from one document."""
COLUMNS = "holds columns, not records: write one record a line (pandas: to_json(path, orient='records', lines=True))"
MOST_LISTS = 64
MOST_EVENTS = 20_000
"""Values of a file that are looked at for its first record."""


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
        return
    if opening != b"{":
        yield from _listed(file, opened, "")
        return
    keys, single = _found_in(file, opened)
    for key in keys:
        yield from _listed(file, opened, key)
    if not keys:
        yield from (_single(file, opened) if single else _by_id(file, opened))


def first_row(file: Path, opened: Opener) -> Mapping[str, Any] | None:
    """The first record of a JSON file, of which no more is read than that takes; None where none is found."""
    try:
        with opened(file) as source:
            opening = _opening(source)
            lines = opening == b"{" and _is_lines(source)
        if lines or (kind_of(file) == ".jsonl" and opening != b"["):
            rows = line_rows(file, opened)
        elif opening != b"{":
            rows = _listed(file, opened, "")
        else:
            keys, single = _found_in(file, opened, events=MOST_EVENTS)
            rows = _listed(file, opened, keys[0]) if keys else _single(file, opened) if single else _by_id(file, opened)
        _, row = next(rows, (None, None))
    # Who reads the records is told of it in its place.
    except (ValueError, OSError, RecursionError, *UNREADABLE):
        return None
    return row if isinstance(row, Mapping) else None


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
    """The first sign, after a byte order mark, which Windows programs write (RFC 8259, section 8.1)."""
    if source.peek(3)[:3] == b"\xef\xbb\xbf":
        source.read(3)
    # Looked at and not read: what is being unpacked cannot go back.
    return source.peek(4096).lstrip()[:1]


def _is_lines(source: BufferedReader) -> bool:
    """Whether the first line is a whole object, and another begins after it."""
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
            elif key in QUESTION_COLUMNS and _is_column(row):
                yield file.name, BadRecord(f"{file.name} {COLUMNS}")
                return
            else:
                # What the record is called stands outside of it.
                yield f"{file.name} record {key}", {"id": key, **row} if isinstance(row, Mapping) else row


def _is_column(values: Any) -> bool:
    """Whether these are the questions of all records, as pandas and `datasets` write tables by default."""
    texts = list(values.values()) if isinstance(values, Mapping) else values
    return isinstance(texts, list) and len(texts) > 0 and all(isinstance(text, str) for text in texts)


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


def _single(file: Path, opened: Opener) -> Rows:
    """The one record that the file is, as Geometry3K has a folder for each of its problems."""
    with opened(file) as source:
        _opening(source)
        text = source.read(LONGEST_FIRST + 1)
    if len(text) > LONGEST_FIRST:
        yield (
            file.name,
            BadRecord(f"{file.name}: a record larger than {LONGEST_FIRST >> 20} MiB: write records as lines"),
        )
        return
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        yield file.name, BadRecord(f"{file.name}: not valid JSON")
        return
    drawn = file.with_name("img_diagram.png").is_file() and "problem_text" in row
    yield file.name, {**({"image": "img_diagram.png"} if drawn else {}), **row}


def _found_in(file: Path, opened: Opener, events: int = 2**62) -> tuple[list[str], bool]:
    """The keys of an object whose values are lists of objects, such as `data` or splits; and whether it is a question.

    `events`: no more of the file is read where a list is known, or a key and its value, by then.
    """
    import ijson

    found: list[str] = []
    single, key, depth, before = False, "", 0, ""
    with opened(file) as source, suppress(ijson.JSONError):  # who reads the records is told of damage in its place
        _opening(source)
        for number, (event, value) in enumerate(ijson.basic_parse(ShallowFile(source), use_float=True)):
            if event == "map_key" and depth == 1:
                key = value
            elif event == "start_map" and depth == 2 and before == "start_array" and len(found) < MOST_LISTS:
                found.append(key)
            elif event == "string" and depth == 1 and key in QUESTION_COLUMNS:
                single = True
            if number > events or (found and events < 2**62):
                break
            depth += (event in ("start_map", "start_array")) - (event in ("end_map", "end_array"))
            before = event
    return found, single
