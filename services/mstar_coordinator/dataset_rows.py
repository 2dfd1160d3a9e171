"""Rows of a user's data set: one folder per split with `metadata.jsonl` and image files, as the Hub's image folders.

Columns: `question`, an answer with what goes with it (`mstar.answers.answer_of`), and the image as `file_name`, several
as the list `file_names`, or neither for a question in words; optionally `id`, `group` and `gold_steps`. Read with
bounded memory, at admission and again when the run prepares its data. Only a line feed ends a line, and no path leads
out of what the data set may read: its folder, and what the operator allows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mstar.answers import answer_of
from mstar.answers.records import GOLD_COLUMNS
from mstar.documents import parse_json
from mstar.errors import InvalidDataset, InvalidInput
from mstar.evolution import UNLABELLED
from mstar.recipes import STEPS
from mstar.types import MAX_IMAGES, Answer, Question
from mstar_data.bounds import Bounds, Opener, OutOfBounds

METADATA = "metadata.jsonl"
MAX_LINE_BYTES = 1_000_000
_BOM = b"\xef\xbb\xbf"
_SHOWN = 80
_MISNAMED = ("image", "images", "image_path", "filename", "file_path", "img")


@dataclass(frozen=True)
class DatasetRow:
    """One question as the file has it."""

    where: str
    """File and line, for messages."""
    question: Question
    """Without the hashes of its images, since nothing has been read yet."""
    images: tuple[Path, ...]
    steps: tuple[str, ...] = ()
    """Of a solution in the split `steps`."""
    labels: tuple[float, ...] = ()
    """For each step how likely it is right, in [0, 1]."""


@dataclass(frozen=True)
class BadRow:
    """A line that no question can be made of."""

    problem: str
    """With file and line."""


def rows_of(folder: Path, split: str, bounds: Bounds) -> Iterator[DatasetRow | BadRow]:
    """Every row of a split, in order. Raises InvalidDataset where the split is missing or cannot be read."""
    home, metadata = _inside(folder, split, bounds)
    # Ids name rows of every artefact of the run, so two questions of one id would share their scores.
    seen: set[str] = set()
    for place, (number, line) in enumerate(_lines(metadata, f"{split}/{METADATA}", bounds.open)):
        where = f"{split}/{METADATA} line {number}"
        try:
            row = _row(line, where, _Home((home, metadata.parent), bounds), split, place)
        except InvalidDataset as error:
            yield BadRow(error.detail)
            continue
        if row.question.id in seen:
            yield BadRow(f"{where}: id {row.question.id[:_SHOWN]!r} is given twice")
            continue
        seen.add(row.question.id)
        yield row


@dataclass(frozen=True)
class _Home:
    """Where the paths of a split's records begin: in its folder, or in that of a metadata file behind a link."""

    folders: tuple[Path, ...]
    bounds: Bounds


def _inside(folder: Path, split: str, bounds: Bounds) -> tuple[Path, Path]:
    """The split's folder and its metadata, neither of which may be a link that leads away."""
    found = []
    for path, name in ((folder / split, split), (folder / split / METADATA, f"{split}/{METADATA}")):
        try:
            real = bounds.found(path)
        except OSError:
            raise InvalidDataset(f"{split}/{METADATA} is a link that leads to no file", field="data.source") from None
        if real is None:
            raise InvalidDataset(
                f"{name} is a link out of the data set's folder and of the data root: copy it there",
                field="data.source",
            )
        found.append(real)
    home, metadata = found
    if not metadata.is_file():
        shares = "--split train=0.8 --split validation=0.1 --split test_id=0.1"
        without = ", or do without: data.test_ood=0" if split == "test_ood" else ""
        fix = f"add it{without}; `mstar data import SOURCE --as FOLDER {shares}` draws splits"
        raise InvalidDataset(f"{split}/{METADATA} is missing in the data set: {fix}", field="data.source")
    return home, metadata


def _lines(path: Path, name: str, opened: Opener) -> Iterator[tuple[int, bytes | None]]:
    """Lines that are not blank, with their numbers from 1; None for one that is too long.

    A byte-order mark before the first is skipped.
    """
    try:
        with opened(path) as file:
            number = 0
            # Bounded, so that a file without a line feed does not become one line in memory.
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    # Its rest is read and thrown away, so that later lines keep their numbers.
                    while line and not line.endswith(b"\n"):
                        line = file.readline(MAX_LINE_BYTES + 1)
                    yield number, None
                    continue
                line = line.removeprefix(_BOM) if number == 1 else line
                if line.strip():
                    yield number, line
    except (OSError, OutOfBounds) as error:
        reason = error.strerror if isinstance(error, OSError) else "it leads elsewhere by now"
        raise InvalidDataset(f"{name} can't be read: {reason}", field="data.source") from error


def _row(line: bytes | None, where: str, home: _Home, split: str, place: int) -> DatasetRow:
    if line is None:
        raise InvalidDataset(f"{where}: longer than {MAX_LINE_BYTES} bytes", field="data.source")
    try:
        row = parse_json(line)
    except ValueError as error:
        raise InvalidDataset(f"{where}: not valid JSON: {str(error)[:_SHOWN]}", field="data.source") from None
    if not isinstance(row, dict):
        raise InvalidDataset(f"{where}: not a JSON object", field="data.source")
    try:
        question = Question(
            id=_text(row.get("id"), "id") if row.get("id") is not None else f"{split}/{place:06d}",
            text=_text(row.get("question") or row.get("prompt"), "question"),
            answer=_answer(row, split),
            group=_text(row.get("group"), "group") if row.get("group") else "ALL",
            split=split,
            source=home.folders[0].parent.name,
            gold_steps=_texts(row.get("gold_steps"), "gold_steps"),
        )
        steps, labels = _solution(row) if split == STEPS else ((), ())
        return DatasetRow(where, question, _images(row, home), steps, labels)
    except ValidationError as error:
        # Without the input: a message must not repeat a megabyte of a record.
        first = error.errors(include_input=False, include_url=False)[0]
        column = ".".join(map(str, first["loc"]))
        raise InvalidDataset(f"{where}: {column}: {first['msg']}", field="data.source") from None
    except InvalidInput as error:
        raise InvalidDataset(f"{where}: {error.detail}", field="data.source") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidDataset(f"{where}: {str(error)[:_SHOWN]}", field="data.source") from None


def _answer(row: dict[str, Any], split: str) -> Answer | None:
    """The reference answer, which unlabelled questions and labelled solutions may lack. Raises InvalidDataset."""
    if split in (UNLABELLED, STEPS) and not any(row.get(name) is not None for name in GOLD_COLUMNS):
        return None
    return answer_of(row)


def _solution(row: dict[str, Any]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Steps and their labels: shares in `soft_labels`, else shares or booleans in `labels`. Raises InvalidDataset."""
    steps = _texts(row.get("completions"), "completions")
    column = "labels" if row.get("soft_labels") is None else "soft_labels"
    labels = row.get(column)
    if not steps or not isinstance(labels, list) or len(labels) != len(steps):
        raise InvalidDataset(f"{column} must be a list with a label for each of the {len(steps)} completions")
    if not all(isinstance(label, bool | int | float) and 0 <= label <= 1 for label in labels):
        raise InvalidDataset(f"{column} must lie between 0 and 1, or be true and false")
    return steps, tuple(map(float, labels))


def _text(value: Any, column: str) -> str:
    """A text, or a number as one. Raises InvalidDataset."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        problem = "is missing" if value is None else "must be a text"
        raise InvalidDataset(f"{column} {problem}", field=column)
    text = str(value)
    if not text.strip():
        raise InvalidDataset(f"{column} is empty", field=column)
    if "\x00" in text:
        raise InvalidDataset(f"{column} holds a NUL character", field=column)
    return text


def _texts(value: Any, column: str) -> tuple[str, ...]:
    """A list of texts, or nothing. Raises InvalidDataset."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidDataset(f"{column} must be a list of texts", field=column)
    return tuple(_text(one, column) for one in value)


def _images(row: dict[str, Any], home: _Home) -> tuple[Path, ...]:
    """Those of `file_name` or `file_names`; none where the row has neither. Raises InvalidDataset."""
    one, several = row.get("file_name"), row.get("file_names")
    if one is not None and several is not None:
        raise InvalidDataset("file_name and file_names are both given: name all images in file_names")
    if several is None and one is None:
        # Read on, the question would lose its picture without a word.
        named = next((name for name in _MISNAMED if row.get(name) is not None), None)
        if named is not None:
            raise InvalidDataset(
                f"{named} is not read: name the image in file_name, several in file_names", field=named
            )
        return ()
    if several is None:
        return (_image(one, "file_name", home),)
    if not isinstance(several, list) or len(several) > MAX_IMAGES:
        raise InvalidDataset(f"file_names must be a list of at most {MAX_IMAGES} names", field="file_names")
    return tuple(_image(name, "file_names", home) for name in several)


def _image(name: Any, column: str, home: _Home) -> Path:
    """Where the name of an image in the split's folder leads: to an existing file that the data set may read."""
    if not isinstance(name, str) or not name.strip():
        raise InvalidDataset(f"{column} must name an image in the split's folder, or be left out", field=column)
    missing = InvalidDataset(f"image {name[:_SHOWN]} is not in the split's folder", field=column)
    try:
        # Splits may share a folder of images, beside them or elsewhere in the data root.
        found = [home.bounds.found(folder / name) for folder in home.folders]
        for path in found:
            if path is not None and path.is_file():
                return path
    except (OSError, ValueError):
        # A name that the file system refuses: too long, a NUL, half of a surrogate pair, links in a circle.
        raise missing from None
    if found[0] is None:
        problem = "lies outside of the data set's folder and of the data root: move it into one"
        raise InvalidDataset(f"image {name[:_SHOWN]} {problem}", field=column)
    raise missing
