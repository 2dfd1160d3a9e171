"""Keeps responses on the disk, line by line, so that an evaluation that was stopped continues where it stopped.

The first line says how they were made. A file that was made otherwise is not continued: numbers of two models or two
temperatures would mix.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mstar.errors import Conflict, CorruptArtefact
from mstar.judges.asking import OFFICIALLY, Asking
from mstar.types import Frozen


class Settings(Frozen):
    """How the responses of a file were made."""

    benchmark: str
    data_sha256: str
    """Of questions, options, answers and images."""
    model: str
    """Name, for tables."""
    model_version: str
    """Of the weights; a model folder has one that follows from its files."""
    n: int
    temperature: float
    max_tokens: int
    top_p: float
    seed: int
    asking: Asking = OFFICIALLY
    prm_version: str = ""
    """Empty: responses have no scores."""


class Responses(Frozen):
    """All samples of one item."""

    id: str
    texts: tuple[str, ...]
    cut: tuple[bool, ...]
    """Which of them ended at the token limit."""
    scores: tuple[float, ...] | None = None
    """Least step score of each, by the PRM."""
    refused: str = ""
    """Why the policy could not be asked: the item then has empty responses, which are wrong."""

    @property
    def best(self) -> int | None:
        """Place of the response with the highest score; the first of equals. None without scores."""
        scores = self.scores
        return None if scores is None else max(range(len(scores)), key=scores.__getitem__)


class ResponseFile:
    """One benchmark's responses, appended shard by shard."""

    def __init__(self, path: Path, settings: Settings) -> None:
        """Raises Conflict naming the setting in which an older file differs."""
        self.path, self.settings = path, settings
        self.rows: dict[str, Responses] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.stat().st_size:
            self._continue()
        else:
            self._append([json.dumps({"settings": settings.model_dump()})])

    def add(self, rows: Iterable[Responses]) -> None:
        """Keep a shard's rows, on the disk when this returns."""
        added = list(rows)
        self._append([row.model_dump_json() for row in added])
        self.rows |= {row.id: row for row in added}

    def _continue(self) -> None:
        found, rows, whole = read_responses(self.path)
        ours, theirs = self.settings.model_dump(), found.model_dump()
        # In the order of the fields, so the message names what decides most: data before sampling.
        different = [name for name in ours if ours[name] != theirs[name]]
        if different:
            name = different[0]
            raise Conflict(
                f"{self.path} was made with {name} = {theirs[name]!r}, now it is {ours[name]!r}: choose another --out, "
                "or remove the file",
                field=name,
            )
        if whole < self.path.stat().st_size:
            with self.path.open("r+b") as file:
                file.truncate(whole)  # a line that was cut off when the last evaluation was killed
        self.rows = {row.id: row for row in rows}

    def _append(self, lines: Sequence[str]) -> None:
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            # A shard takes minutes to sample, and this milliseconds: a power cut should not cost it.
            os.fsync(file.fileno())


def read_responses(path: Path) -> tuple[Settings, list[Responses], int]:
    """Settings, rows, and how many bytes of the file are whole lines. Raises CorruptArtefact."""
    lines = list(_whole_lines(path))
    try:
        first: Any = json.loads(lines[0]) if lines else {}
        settings = Settings.model_validate(first["settings"])
        # Damage inside the file is an error; only a last line without its end is what a kill leaves.
        rows = [Responses.model_validate_json(line) for line in lines[1:]]
    except (KeyError, TypeError, ValueError, ValidationError):
        raise CorruptArtefact(f"{path} holds no responses that this version can read: remove it") from None
    return settings, rows, sum(map(len, lines))


def _whole_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line
