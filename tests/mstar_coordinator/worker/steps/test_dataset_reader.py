"""A user's data set: what its rows become, and errors that name file and line."""

import json
from pathlib import Path
from typing import Any

import pytest

from mstar.errors import InvalidDataset
from mstar.types import Answer, AnswerType, Question
from mstar_artefacts.images import ImageStore
from mstar_coordinator.worker.steps.dataset_reader import read_split


def read(folder: Path, *rows: dict[str, Any] | str, limit: int | None = None) -> list[Question]:
    """Write the rows as a train split with one image, and read them."""
    split = folder / "train"
    split.mkdir(exist_ok=True)
    (split / "a.png").write_bytes(b"image")
    lines = [row if isinstance(row, str) else json.dumps({"file_name": "a.png", "question": "?"} | row) for row in rows]
    (split / "metadata.jsonl").write_text("\n".join(lines))
    return list(read_split(folder, "train", len(rows) if limit is None else limit, ImageStore(folder / "images")))


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"answer": 61}, Answer(type=AnswerType.INTEGER, value="61")),
        ({"answer": "-6.25", "precision": 1}, Answer(type=AnswerType.FLOAT, value="-6.25", precision=1)),
        ({"answer": [1, 2]}, Answer(type=AnswerType.LIST, value="[1, 2]")),
        ({"answer": "red"}, Answer(type=AnswerType.TEXT, value="red")),
        ({"answer": "x^2", "answer_type": "math"}, Answer(type=AnswerType.MATH, value="x^2")),
        (
            {"answer": "cat", "choices": ["dog", "cat"]},
            Answer(type=AnswerType.CHOICE, value="B", choices=("dog", "cat")),
        ),
        ({"answer": "A", "choices": ["dog", "cat"]}, Answer(type=AnswerType.CHOICE, value="A", choices=("dog", "cat"))),
    ],
)
def test_the_type_of_an_answer_is_read_or_guessed(tmp_path: Path, row: dict[str, Any], answer: Answer) -> None:
    assert [question.answer for question in read(tmp_path, row)] == [answer]


def test_optional_columns_are_kept(tmp_path: Path) -> None:
    row = {"answer": 1, "id": "mine", "group": "GPS", "gold_steps": ["a", "b"]}
    (question,) = read(tmp_path, row)
    assert (question.id, question.group, question.gold_steps, question.split) == ("mine", "GPS", ("a", "b"), "train")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", "train/metadata.jsonl line 2"),
        ({"answer": 1, "file_name": "none.png"}, "line 2: image none.png is not in the split's folder"),
        ({"answer": 1, "file_name": "../../etc/passwd"}, "not in the split's folder"),
        ({"answer": 1, "answer_type": "guess"}, "line 2: 'guess' is not a valid AnswerType"),
        ({"answer": " "}, "line 2"),
        ({}, "line 2: 'answer'"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, bad: dict[str, Any] | str, message: str) -> None:
    with pytest.raises(InvalidDataset, match=r"train/metadata\.jsonl") as caught:
        read(tmp_path, {"answer": 1}, bad)
    assert message in caught.value.detail


def test_a_split_that_is_missing_or_too_small_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match="can't be read"):
        list(read_split(tmp_path, "train", 1, ImageStore(tmp_path / "images")))
    with pytest.raises(InvalidDataset, match="has 1 questions, not 2"):
        read(tmp_path, {"answer": 1}, limit=2)
