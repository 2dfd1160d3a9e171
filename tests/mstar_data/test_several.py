"""Rows with several questions, sets in several formats, and what people write for a picture or a conversation."""

import base64
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from mstar_data.rows import ImportedRow, read_rows
from mstar_data.summary import Summary
from small_png import small_png
from trusting_looks import TrustingLooks


def read(folder: Path) -> list[ImportedRow]:
    summary = Summary()
    rows = list(read_rows(folder, summary, looks=TrustingLooks()))
    assert not summary.problems, summary.problems
    return rows


def write(folder: Path, name: str, *records: Any) -> None:
    for place in range(2):
        picture = folder / "images" / f"{place}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(small_png(place))
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(one) + "\n" for one in records))


PAIRS = {
    "Index": 3, "Image_0": "images/0.png", "Image_1": "images/1.png", "Question_0": "Is it red?",
    "Image_0_Question_0": "Yes", "Image_1_Question_0": "No",
    "Question_1": "What is it?\nOption: A: a dog; B: a cat;", "Image_0_Question_1": "B", "Image_1_Question_1": "A",
    "Question_Type": "yes_no", "Source": "DOCCI",
}  # fmt: skip


def test_each_question_of_naturalbench_is_asked_about_both_pictures(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", PAIRS)
    rows = read(tmp_path)
    asked = [(row.columns["question"], row.columns.get("choices"), row.columns["answer"]) for row in rows]
    options = ["a dog", "a cat"]
    assert asked == [
        ("Is it red?", None, "Yes"), ("Is it red?", None, "No"),
        ("What is it?", options, "B"), ("What is it?", options, "A"),
    ]  # fmt: skip
    assert [row.images for row in rows] == 2 * [(small_png(0),), (small_png(1),)]
    assert [row.where for row in rows][1] == "a.jsonl line 1 Image_1_Question_0"
    assert len({row.columns["id"] for row in rows}) == 4


def _of_lesson(answer: str, **more: str) -> dict[str, Any]:
    choices = {letter: {"processedText": text, "rawText": f"{letter}. {text}"} for letter, text in
               (("a", "core"), ("b", "crust"))}  # fmt: skip
    asked = {"beingAsked": {"processedText": f"Which one? {more}"}, "correctAnswer": {"processedText": answer}}
    return {"answerChoices": choices, **asked, **more}


def test_a_lesson_of_tqa_has_its_questions_with_and_without_a_diagram(tmp_path: Path) -> None:
    questions = {
        "nonDiagramQuestions": {"NDQ_1": _of_lesson("b")},
        "diagramQuestions": {"DQ_1": _of_lesson("a", imagePath="images/0.png")},
    }
    write(tmp_path, "train/tqa_v1_train.json")
    lessons = [{"globalID": "L_1", "lessonName": "earth", "topics": {}, "questions": questions}]
    (tmp_path / "train" / "tqa_v1_train.json").write_text(json.dumps(lessons))
    first, second = read(tmp_path)
    assert (first.columns["answer"], first.columns["choices"], first.images) == ("B", ["core", "crust"], ())
    assert (second.columns["answer"], second.columns["id"], second.images) == ("A", "DQ_1", (small_png(0),))


def test_a_question_of_mapqa_has_its_own_sets_map(tmp_path: Path) -> None:
    for place, name in enumerate(("MapQA_S", "MapQA_U")):
        write(tmp_path / name, "questions/train-QA.json")
        (tmp_path / name / "images" / "0.png").write_bytes(small_png(place + 5))
        asked = {"question_id": 1, "map_id": "0.png", "question": f"{name}?", "answer": ["Ohio", "Utah"]}
        (tmp_path / name / "questions" / "train-QA.json").write_text(json.dumps([asked]))
    assert [row.images for row in read(tmp_path)] == [(small_png(5),), (small_png(6),)]


def test_splits_may_be_in_several_formats(tmp_path: Path) -> None:
    """Before, text beside Parquet was taken for a second edition, and the split was missing without a word."""
    write(tmp_path, "train.jsonl", {"image": "images/0.png", "question": "a?", "answer": 1})
    rows = [{"image": {"bytes": small_png(1), "path": None}, "question": "b?", "answer": "2"}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "validation-00000-of-00001.parquet")
    # Of this split there are two editions.
    (tmp_path / "val.json").write_text(json.dumps([{"image": "images/1.png", "question": "b?", "answer": 2}]))
    (tmp_path / "test.csv").write_text("image,question,answer\nimages/0.png,c?,3\n")
    found = {row.split: row.columns["question"] for row in read(tmp_path)}
    assert found == {"train": "a?", "validation": "b?", "test_id": "c?"}


def test_a_further_folder_beside_those_of_splits_is_a_test_of_its_name(tmp_path: Path) -> None:
    """Before, its records were taken for training."""
    for name in ("train", "test", "charts"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(small_png(len(name)))
        record = {"file_name": "0.png", "question": f"{name}?", "answer": 1}
        (tmp_path / name / "metadata.jsonl").write_text(json.dumps(record) + "\n")
    assert {row.split for row in read(tmp_path)} == {"train", "test_id", "charts"}
    (tmp_path / "charts").rename(tmp_path / "My charts")
    summary = Summary()
    assert len(list(read_rows(tmp_path, summary, looks=TrustingLooks()))) == 2
    assert "split 'My charts' is unknown" in summary.problems[0]


def test_a_row_about_a_picture_may_list_its_questions(tmp_path: Path) -> None:
    asked = [{"question": "a?", "answer": 1}, {"question": "b?", "answer": "x", "choices": ["x", "y"]}]
    write(tmp_path, "a.jsonl", {"image": "images/0.png", "source": "web", "qa_pairs": asked})
    first, second = read(tmp_path)
    assert (first.columns["question"], second.columns["answer"], second.where) == (
        "a?",
        "A",
        "a.jsonl line 1 qa_pairs 2",
    )
    assert first.images == second.images == (DATA,)


DATA = small_png(0)
TEXT = base64.b64encode(DATA).decode()


@pytest.mark.parametrize(
    "columns",
    [
        {"image": base64.encodebytes(DATA).decode()},
        {"image": base64.urlsafe_b64encode(DATA).decode().rstrip("=")},
        {"image": {"bytes": TEXT, "path": None}},
        {"image": {"bytes": list(DATA), "path": None}},
        {"image": {"url": f"data:image/png;base64,{TEXT}"}},
        {"image": str({"bytes": DATA, "path": None})},
        {"image": "images/0"},
        {"image": {"src": "images/0.png"}},
        {"images": [{"type": "image", "image": "images/0.png"}]},
        {"image": 0},
        {"images": "['images/0.png']"},
        {"image": "images/%30.png"},
    ],
)
def test_a_picture_is_found_in_what_people_write_for_it(tmp_path: Path, columns: dict[str, Any]) -> None:
    write(tmp_path, "a.jsonl", {"question": "q?", "answer": 1} | columns)
    (row,) = read(tmp_path)
    assert row.images == (DATA,)


@pytest.mark.parametrize("between", ["|", "; ", ", "])
def test_a_cell_may_name_several_pictures(tmp_path: Path, between: str) -> None:
    write(tmp_path, "a.jsonl", {"question": "q?", "answer": 1, "image": between.join(["images/0.png", "images/1.png"])})
    (row,) = read(tmp_path)
    assert row.images == (small_png(0), small_png(1))


def test_more_pictures_than_a_question_may_have_are_refused_at_the_import(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", {"question": "q?", "answer": 1, "images": ["images/0.png"] * 9})
    summary = Summary()
    assert not list(read_rows(tmp_path, summary, looks=TrustingLooks()))
    assert summary.problems == ["a.jsonl line 1: 9 pictures, and a question has 8 at most: leave some out"]


TURNS = [{"from": "human", "value": "<image>\nHow many?"}, {"from": "gpt", "value": "The answer is 3."}]


@pytest.mark.parametrize(
    "record",
    [
        {"conversations": [TURNS]},
        {"conversations": [["<image>\nHow many?", "The answer is 3."]]},
        {"data": {"conversations": TURNS}},
        {"conversations": [{"role": "USER", "text": "How many?"}, {"role": "Assistant", "text": "3"}]},
        {"query": "<image>How many?", "response": "The answer is 3.", "images": ["images/0.png"], "history": []},
        {"instruction": "How many?", "input": "", "output": "3"},
        {"prompt": "How many?", "completion": "3"},
    ],
)
def test_a_question_and_its_answer_are_found_as_turns(tmp_path: Path, record: dict[str, Any]) -> None:
    write(tmp_path, "a.jsonl", {"image": "images/0.png", **record})
    (row,) = read(tmp_path)
    assert (row.columns["question"], row.columns["answer"], row.images) == ("How many?", "3", (DATA,))
