"""Reads JSON lines files from users: says what is wrong with a line, and what one looks like."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mstar.errors import InvalidInput

MOST_CHARACTERS = 32 * 2**20
"""Of a line: what a service takes as the body of a request."""
_EXPECTED = {
    "missing": "is missing",
    "string_type": "must be a text",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}


def numbered_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1; only a line feed ends one.

    Raises InvalidInput, also where there is none: who names an empty file has named the wrong one.
    """
    if not file.is_file():
        raise InvalidInput(f"{file} {_no_file(file)}", field="file")
    try:
        # Editors on Windows put a byte order mark there; other line ends may stand inside JSON strings and end no line.
        found = False
        with file.open(encoding="utf-8-sig", newline="\n") as lines:
            # Of a file that is something else, all of it may be one line.
            for number, line in enumerate(iter(lambda: lines.readline(MOST_CHARACTERS + 1), ""), 1):
                if len(line) > MOST_CHARACTERS:
                    detail = f"{file} line {number}: longer than {MOST_CHARACTERS} characters: is it JSON lines?"
                    raise InvalidInput(detail, field="file")
                if line.strip():
                    found = True
                    yield number, line.removesuffix("\n")
        if not found:
            raise InvalidInput(f"{file} has no lines: name a file of JSON lines", field="file")
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} cannot be read: save it as JSON lines in UTF-8", field="file") from None
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}", field="file") from error


def _no_file(path: Path) -> str:
    if path.is_dir():
        return "is a folder: name a file"
    # Its lines would be gone after the first reading.
    return "is a pipe or a device: write its lines to a file, and name that" if path.exists() else "does not exist"


def object_on(line: str, where: str, example: str) -> dict[str, Any]:
    """The JSON object that a line is. Raises InvalidInput with `example`, a line as it should be."""
    try:
        row = json.loads(line)
    except RecursionError:
        raise InvalidInput(f"{where}: nested too deeply", field="file") from None
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise InvalidInput(f"{where}: no JSON object; each line must be one, such as {example}", field="file")
    return row


def wrong_member(error: ValidationError, where: str, example: str) -> InvalidInput:
    """The first member that is missing or of another type, with a line as it should be."""
    first = error.errors(include_url=False)[0]
    name = ".".join(map(str, first["loc"]))
    said = _EXPECTED.get(first["type"], first["msg"].removeprefix("Value error, "))
    return InvalidInput(f"{where}: {name}: {said}; a line is such as {example}", field="file")
