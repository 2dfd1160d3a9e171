"""A user's data set: what its rows become, and errors that name file and line."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from mstar.errors import InvalidDataset
from mstar.recipes import DataRecipe
from mstar.types import Answer, AnswerType, Question
from mstar_coordinator.dataset_check import DatasetCheck
from trusting_looks import TrustingLooks

PICTURE = (Path(__file__).parents[1] / "cases" / "pictures" / "grey16.png").read_bytes()


def read_split(folder: Path, split: str, limit: int) -> list[Question]:
    check = DatasetCheck(folder, {split: limit}, frozenset(), DataRecipe(), TrustingLooks())
    return [sound.row.question for sound in check.rows()]


def read(folder: Path, *rows: dict[str, Any] | str, limit: int | None = None) -> list[Question]:
    """Write the rows as a train split with one image, and read them."""
    split = folder / "train"
    split.mkdir(exist_ok=True)
    (split / "a.png").write_bytes(PICTURE)
    lines = [row if isinstance(row, str) else json.dumps({"file_name": "a.png", "question": "?"} | row) for row in rows]
    (split / "metadata.jsonl").write_text("\n".join(lines))
    return read_split(folder, "train", len(rows) if limit is None else limit)


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
        ({"answer": 1, "file_name": "../../etc/passwd"}, "lies outside of the data set's folder and of the data root"),
        ({"answer": 1, "answer_type": "guess"}, "line 2: answer_type 'guess' is unknown"),
        ({"answer": " "}, "line 2"),
        ({"answer": 1, "question": 3.5, "id": True}, "line 2: id must be a text"),
        ({"answer": 1, "question": ["?"]}, "line 2: question must be a text"),
        ({"answer": 1, "question": "?" * 40_000}, "line 2: text: String should have at most 32768"),
        ({"answer": 1, "question": "\ud800"}, "line 2: text: "),
        ({"answer": 1, "question": "\x00"}, "line 2: question holds a NUL"),
        ({"answer": {"a": 1}}, "line 2: answer must be"),
        ({"answer": 1, "gold_steps": "a"}, "line 2: gold_steps must be a list"),
        ({"answer": 1, "file_name": "a" * 5000}, "not in the split's folder"),
        ({"answer": 1, "file_name": "\x00"}, "not in the split's folder"),
        ({"answer": 1, "file_name": 3}, "line 2: file_name must name an image"),
        ({"answer": 1, "file_name": None, "image": "a.png"}, "line 2: image is not read: name the image in file_name"),
        ({"answer": 1, "file_names": ["a.png"]}, "line 2: file_name and file_names are both given"),
        (
            {"answer": 1, "file_name": None, "file_names": ["a.png"] * 9},
            "line 2: file_names must be a list of at most 8",
        ),
        ({"answer": 1, "file_name": None, "file_names": ["a.png", "b.png"]}, "line 2: image b.png is not in the split"),
        ({"answer": 1, "id": "train/000000"}, "line 2: id 'train/000000' is given twice"),
        ('{"answer": 1, "answer": 2}', "line 2: not valid JSON: key 'answer' is given twice"),
        ("[" * 100_000, "line 2: not valid JSON: nested too deeply"),
        ('{"a": "' + "x" * 1_100_000 + '"}', "line 2: longer than 1000000 bytes"),
        ({}, "line 2: the answer is missing"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, bad: dict[str, Any] | str, message: str) -> None:
    with pytest.raises(InvalidDataset, match=r"train/metadata\.jsonl") as caught:
        read(tmp_path, {"answer": 1}, bad)
    assert message in caught.value.detail


def test_a_split_that_is_missing_or_too_small_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match="is missing in the data set: add it"):
        (read_split(tmp_path, "train", 1))
    with pytest.raises(InvalidDataset, match="has 1 questions but the recipe wants 2"):
        read(tmp_path, {"answer": 1}, limit=2)


@pytest.mark.parametrize("value", [0, False, 0.0, True])
def test_every_json_scalar_is_an_answer(tmp_path: Path, value: object) -> None:
    (question,) = read(tmp_path, {"answer": value})
    assert question.answer is not None and question.answer.value == str(value)


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85"])
def test_only_a_line_feed_ends_a_line(tmp_path: Path, mark: str) -> None:
    row = json.dumps({"file_name": "a.png", "question": f"a{mark}b", "answer": 1}, ensure_ascii=False)
    (question,) = read(tmp_path, row)
    assert question.text == f"a{mark}b"


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    row = json.dumps({"file_name": "a.png", "question": "?", "answer": 1})
    assert len(read(tmp_path, f"\ufeff{row}\r", row)) == 2


def test_no_link_leads_out_of_the_data_set(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "set"
    outside.mkdir()
    inside.mkdir()
    read(outside, {"answer": 1})
    (inside / "train").symlink_to(outside / "train")
    with pytest.raises(InvalidDataset, match="train is a link out of the data set's folder"):
        (read_split(inside, "train", 1))
    (inside / "train").unlink()
    (inside / "train").mkdir()
    (inside / "train" / "metadata.jsonl").symlink_to(outside / "train" / "metadata.jsonl")
    with pytest.raises(InvalidDataset, match=r"metadata\.jsonl is a link out"):
        (read_split(inside, "train", 1))


@pytest.mark.parametrize("name", ["train/a.png", "train/metadata.jsonl", "train"])
def test_links_in_a_circle_are_refused_as_what_is_not_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "metadata.jsonl").write_text('{"file_name": "a.png", "question": "?", "answer": 1}\n')
    link = tmp_path / name
    if link.exists():
        link.rename(tmp_path / "away")
    link.symlink_to(link)
    with pytest.raises(InvalidDataset, match=r"not in the split's folder|is a link that leads to no file"):
        read_split(tmp_path, "train", 1)


def test_reading_needs_bounded_memory(tmp_path: Path) -> None:
    split = tmp_path / "train"
    split.mkdir()
    with open(split / "metadata.jsonl", "wb") as file:
        file.truncate(150_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidDataset, match="line 1: longer than"):
            (read_split(tmp_path, "train", 1))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_only_the_unlabelled_split_may_lack_answers(tmp_path: Path) -> None:
    split = tmp_path / "unlabelled"
    split.mkdir()
    (split / "a.png").write_bytes(PICTURE)
    rows = [{"file_name": "a.png", "question": "?"}, {"file_name": "a.png", "question": "!", "answer": 3}]
    (split / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = read_split(tmp_path, "unlabelled", 2)
    assert [question.answer is None for question in found] == [True, False]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"labels": [1]}, "a label for each of the 0 completions"),
        ({"completions": ["a", "b"], "labels": [1]}, "a label for each of the 2 completions"),
        ({"completions": ["a"], "labels": [2]}, "must lie between 0 and 1"),
        ({"completions": ["a"], "labels": ["good"]}, "must lie between 0 and 1"),
        ({"completions": ["a"], "labels": [True], "soft_labels": 3}, "soft_labels must be a list"),
    ],
)
def test_bad_step_labels_are_named_by_line(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    split = tmp_path / "steps"
    split.mkdir()
    (split / "a.png").write_bytes(PICTURE)
    (split / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png", "prompt": "?", **row}))
    with pytest.raises(InvalidDataset, match=rf"steps/metadata\.jsonl line 1: .*{said}"):
        (read_split(tmp_path, "steps", 1))
