"""The lines that `mstar score` reads: JSON lines of its own form, or the records of a data set."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mstar.cli.lines import numbered_lines
from mstar.errors import InvalidInput
from mstar.reach import Reach

EXAMPLE = '{"images": ["a.png"], "question": "How many bars?", "responses": ["3 bars."]}'
LINES = (".jsonl", ".ndjson", ".json", ".txt", "")
"""Endings of files that may be JSON lines."""
OWN = ("question", "responses")


@dataclass(frozen=True)
class Line:
    """One line, as it is read or made."""

    where: str
    """Names it in messages."""
    text: str
    folder: Path
    """Where its paths of images begin."""


def lines_to_score(source: Path, out: Path | None, mapping: Path | None, reach: Reach) -> Iterator[Line]:
    """All lines of a source, which is a data set where there is a mapping.

    Raises InvalidInput, or InvalidDataset for records without a response.
    """
    if mapping is None and _is_own(source):
        for number, text in numbered_lines(source):
            yield Line(f"{source.name} line {number}", text, source.parent)
        return
    if out is None:
        raise InvalidInput(
            f"{source} is no file of JSON lines with question and responses: name a file with --out, and its pictures "
            "are written into a folder beside that",
            field="out",
        )
    from mstar_data.importing import options_of
    from mstar_data.scorable import lines_to_score as lines_of_records

    found = False
    pictures = out.with_name(f"{out.stem}-images")
    for where, text in lines_of_records(source, pictures, options_of(mapping, reach=reach)):
        found = True
        yield Line(where, text, out.parent)
    if not found:
        raise InvalidInput(f"{source} has no records: name a data set whose records have responses", field="file")


def _is_own(source: Path) -> bool:
    """Whether what stands there is meant as this command's own lines; only then its errors speak of them."""
    if source.is_dir() or source.suffix.casefold() not in LINES:
        return False
    try:
        first = json.loads(next(numbered_lines(source))[1])
    except (InvalidInput, ValueError, RecursionError, StopIteration):
        return True
    return not isinstance(first, dict) or any(name in first for name in OWN)
