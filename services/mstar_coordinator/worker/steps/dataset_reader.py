"""A user's data set: one folder per split with `metadata.jsonl` and image files, as the Hub's image folders have it.

Columns: `file_name`, `question`, `answer`; optionally `id`, `group`, `answer_type`, `choices`, `precision`, `unit` and
`gold_steps`. Paths stay inside the split's folder. A choice's answer is its letter or the text of the option.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mstar.errors import InvalidDataset
from mstar.types import Answer, AnswerType, Question
from mstar_artefacts.images import ImageStore

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def read_split(folder: Path, split: str, limit: int, images: ImageStore) -> Iterator[Question]:
    """The first `limit` questions. Raises InvalidDataset naming file and line, also when there are too few."""
    home = (folder / split).resolve()
    try:
        lines = (home / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidDataset(f"{split}/metadata.jsonl can't be read: {error}", field="data.source") from error
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if len(rows) < limit:
        detail = f"{split}/metadata.jsonl has {len(rows)} questions, not {limit}: lower data.{split}"
        raise InvalidDataset(detail, field=f"data.{split}")
    for place, (number, line) in enumerate(rows[:limit]):
        try:
            yield _question(json.loads(line), home, split, place, images)
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise InvalidDataset(f"{split}/metadata.jsonl line {number}: {error}", field="data.source") from error


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
    choices = tuple(str(choice) for choice in row.get("choices") or ())
    kind = AnswerType(row["answer_type"]) if row.get("answer_type") else _guess(value, choices)
    if kind is AnswerType.CHOICE and value in choices:
        value = chr(ord("A") + choices.index(value))
    return Answer(type=kind, value=value, choices=choices, precision=row.get("precision"), unit=row.get("unit"))


def _guess(value: str, choices: tuple[str, ...]) -> AnswerType:
    """The type of an answer whose row does not name one."""
    if choices:
        return AnswerType.CHOICE
    if _NUMBER.fullmatch(value):
        return AnswerType.FLOAT if "." in value else AnswerType.INTEGER
    return AnswerType.LIST if value.startswith("[") else AnswerType.TEXT
