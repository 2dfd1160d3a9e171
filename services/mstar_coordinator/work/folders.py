"""A user's data set: one folder per split with `metadata.jsonl` and image files, as the Hub's image folders have it.

Columns: `file_name`, `question`, `answer`; optionally `id`, `group`, `answer_type`, `choices`, `precision`, `unit` and
`gold_steps`. Paths stay inside the split's folder.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mstar.errors import InvalidDataset
from mstar.types import Answer, AnswerType, Question
from mstar_artefacts.images import ImageStore


def read_split(folder: Path, split: str, limit: int, images: ImageStore) -> Iterator[Question]:
    """The first `limit` questions. Raises InvalidDataset naming file and line."""
    home = (folder / split).resolve()
    with open(home / "metadata.jsonl", encoding="utf-8") as lines:
        rows = (pair for pair in enumerate(lines, 1) if pair[1].strip())
        for place, (number, line) in enumerate(rows):
            if place == limit:
                return
            where = f"{split}/metadata.jsonl line {number}"
            try:
                yield _question(json.loads(line), home, split, place, images)
            except (ValueError, ValidationError, KeyError, TypeError) as error:
                raise InvalidDataset(f"{where}: {error}", field="data.source") from error


def _question(row: dict[str, Any], home: Path, split: str, place: int, images: ImageStore) -> Question:
    path = (home / str(row["file_name"])).resolve()
    if not path.is_relative_to(home) or not path.is_file():
        raise ValueError(f"image {str(row['file_name'])[:200]} is not in the split's folder")
    return Question(
        id=str(row.get("id") or f"{split}/{place:06d}"),
        text=row["question"],
        image=images.put(path.read_bytes()),
        answer=_answer(row),
        group=str(row.get("group") or "ALL"),
        split=split,
        source=home.parent.name,
        gold_steps=tuple(row.get("gold_steps") or ()),
    )


def _answer(row: dict[str, Any]) -> Answer:
    value = str(row["answer"]).strip()
    choices = tuple(row.get("choices") or ())
    kind = AnswerType(row["answer_type"]) if row.get("answer_type") else _guess(value, choices)
    return Answer(type=kind, value=value, choices=choices, precision=row.get("precision"), unit=row.get("unit"))


def _guess(value: str, choices: tuple[str, ...]) -> AnswerType:
    """The type of an answer whose row does not name one."""
    if choices:
        return AnswerType.CHOICE
    if value.removeprefix("-").isdigit():
        return AnswerType.INTEGER
    return AnswerType.LIST if value.startswith("[") else AnswerType.TEXT
