"""Two JSON files that share an id are one set: questions in one, answers in the other (VQA, OK-VQA)."""

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mstar.errors import InvalidDataset
from mstar_data.importing import import_source, options_of
from mstar_data.rows import AS_IT_IS, ImportedRow, ReadOptions, read_rows
from mstar_data.summary import Summary
from small_png import small_png
from trusting_looks import TrustingLooks

ABOUT = {"info": {"description": "VQA", "version": "2.0"}, "license": {"name": "CC BY 4.0"}, "data_type": "mscoco"}
ASKED = [("What is this photo taken looking through?", 458752), ("How many?", 458752), ("Is it day?", 262146)]
SAID = [("net", "other"), ("2", "number"), ("yes", "yes/no")]


def question(number: int, text: str, image: int) -> dict[str, Any]:
    return {"image_id": image, "question": text, "question_id": image * 1000 + number}


def annotation(number: int, image: int, said: str, kind: str) -> dict[str, Any]:
    people = [{"answer": said, "answer_confidence": "yes", "answer_id": person} for person in range(1, 11)]
    return {
        "question_type": "what is", "multiple_choice_answer": said, "answers": people, "image_id": image,
        "answer_type": kind, "question_id": image * 1000 + number,
    }  # fmt: skip


def put(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def vqa(
    root: Path, questions: str = "", answers: str = "", part: str = "train2014", ending: str = "json", first: int = 0
) -> None:
    """VQAv2 as it is published: `part` names the images, whose numbers begin at `first`."""
    asked = [question(n, text, image + first) for n, (text, image) in enumerate(ASKED)]
    said = [annotation(n, ASKED[n][1] + first, *one) for n, one in enumerate(SAID)]
    head = {**ABOUT, "task_type": "Open-Ended", "data_subtype": part}
    put(root / questions / f"v2_OpenEnded_mscoco_{part}_questions.{ending}", {**head, "questions": asked})
    # In another order than the questions, as nothing promises it.
    put(root / answers / f"v2_mscoco_{part}_annotations.{ending}", {**ABOUT, "annotations": said[::-1]})
    for number, image in enumerate((458752 + first, 262146 + first)):
        put(root / part / f"COCO_{part}_{image:012d}.jpg", small_png(number + first))


def read(source: Path, options: ReadOptions = AS_IT_IS) -> tuple[list[ImportedRow], list[str]]:
    summary = Summary()
    rows = list(read_rows(source, summary, options, looks=TrustingLooks()))
    return rows, summary.problems


@pytest.mark.parametrize("ending", ["json", "json.gz"])
@pytest.mark.parametrize(
    ("questions", "answers"), [("", ""), ("Questions", "Annotations"), ("questions", "annotations")]
)
def test_vqa_is_read_as_published(tmp_path: Path, questions: str, answers: str, ending: str) -> None:
    vqa(tmp_path, questions, answers, ending=ending)
    rows, problems = read(tmp_path)
    assert problems == []
    assert [(row.columns["question"], row.columns["answer"]) for row in rows] == [
        (text, said) for (text, _), (said, _) in zip(ASKED, SAID, strict=True)
    ]
    assert [row.images for row in rows] == [(small_png(0),), (small_png(0),), (small_png(1),)]
    assert {row.split for row in rows} == {"train"}


def test_each_file_of_questions_finds_its_own_answers_and_split(tmp_path: Path) -> None:
    vqa(tmp_path)
    vqa(tmp_path, part="val2014", first=7)
    rows, problems = read(tmp_path)
    assert problems == []
    assert [row.split for row in rows].count("train") == [row.split for row in rows].count("validation") == 3


def test_an_import_leaves_the_joined_records(tmp_path: Path) -> None:
    vqa(tmp_path / "VQAv2")
    summary = import_source(tmp_path / "VQAv2", tmp_path / "mine", looks=TrustingLooks())
    assert (summary.records["train"], summary.bad, summary.images) == (3, 0, 2)


def changed(root: Path, name: str, key: str, change: Callable[[list[Any]], object]) -> None:
    (file,) = root.glob(f"*{name}.json")
    content = json.loads(file.read_text())
    change(content[key])
    put(file, content)


@pytest.mark.parametrize(
    ("name", "key", "change", "said"),
    [
        (
            "annotations", "annotations", lambda rows: rows.pop(),
            "v2_OpenEnded_mscoco_train2014_questions.json questions 1: question_id 458752000 has no answer in "
            "v2_mscoco_train2014_annotations.json",
        ),
        (
            "questions", "questions", lambda rows: rows.pop(),
            "v2_mscoco_train2014_annotations.json annotations 1: question_id 262146002 has no question in "
            "v2_OpenEnded_mscoco_train2014_questions.json",
        ),
        (
            "annotations", "annotations", lambda rows: rows[1].pop("question_id"),
            "v2_mscoco_train2014_annotations.json annotations 2: question_id is missing",
        ),
        (
            "questions", "questions", lambda rows: rows[1].pop("question_id"),
            "v2_OpenEnded_mscoco_train2014_questions.json questions 2: question_id is missing",
        ),
        (
            "annotations", "annotations", lambda rows: rows.append(rows[0]),
            "v2_mscoco_train2014_annotations.json annotations 4: question_id 262146002 came before",
        ),
        (
            "questions", "questions", lambda rows: rows.append(rows[0]),
            "v2_OpenEnded_mscoco_train2014_questions.json questions 4: question_id 458752000 came before",
        ),
        (
            "annotations", "annotations", lambda rows: rows.append(3),
            "v2_mscoco_train2014_annotations.json annotations 4: question_id is missing",
        ),
    ],
)  # fmt: skip
def test_an_id_that_one_side_lacks_is_named_with_file_and_place(
    tmp_path: Path, name: str, key: str, change: Callable[[list[Any]], object], said: str
) -> None:
    vqa(tmp_path / "source")
    changed(tmp_path / "source", name, key, change)
    rows, problems = read(tmp_path / "source")
    assert any(problem.startswith(said) for problem in problems), problems
    assert len(rows) >= 2
    with pytest.raises(InvalidDataset, match="records cannot be used"):
        import_source(tmp_path / "source", tmp_path / "mine", looks=TrustingLooks())
    assert not (tmp_path / "mine").exists()


def test_a_damaged_half_is_named(tmp_path: Path) -> None:
    vqa(tmp_path)
    (file,) = tmp_path.glob("*annotations.json")
    put(file, file.read_bytes()[:-40])
    _, problems = read(tmp_path)
    assert any(problem.startswith(f"{file.name}: not valid JSON") for problem in problems), problems


HALVES: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
    ({"id": 1, "question": "q"}, {"id": "1", "answer": 3}),
    ({"qid": "a", "query": "q"}, {"qid": "a", "label": "3"}),
    ({"questionId": 5, "id": 0, "question": "q"}, {"id": 17, "questionId": 5, "answers": ["3"]}),
]


@pytest.mark.parametrize(("asked", "said"), HALVES)
@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_any_column_of_ids_joins(tmp_path: Path, asked: dict[str, Any], said: dict[str, Any], ending: str) -> None:
    put(tmp_path / "0.png", small_png(0))
    for name, row in (("questions", {"image": "0.png", **asked}), ("answers", said)):
        put(tmp_path / f"{name}.{ending}", [row] if ending == "json" else f"{json.dumps(row)}\n".encode())
    (row,), problems = read(tmp_path)
    assert (row.columns["question"], row.columns["answer"], problems) == ("q", "3", [])


def test_an_object_of_answers_by_id_joins_with_an_object_of_questions(tmp_path: Path) -> None:
    put(tmp_path / "questions.json", {"a": {"question": "q"}, "b": {"question": "r"}})
    put(tmp_path / "answers.json", {"b": {"answer": 4}, "a": {"answer": 3}})
    rows, problems = read(tmp_path)
    assert ([(row.columns["question"], row.columns["answer"]) for row in rows], problems) == (
        [("q", "3"), ("r", "4")],
        [],
    )


def test_a_mapping_names_the_columns_of_both_halves(tmp_path: Path) -> None:
    put(tmp_path / "source" / "ask.json", [{"nr": 1, "frage": "q"}])
    put(tmp_path / "source" / "say.json", [{"nr": 1, "antwort": 3}])
    (tmp_path / "map.yaml").write_text("columns: {question: frage, answer: antwort, id: nr}\n")
    (row,), problems = read(tmp_path / "source", options_of(tmp_path / "map.yaml"))
    assert (row.columns["question"], row.columns["answer"], problems) == ("q", "3", [])


def test_what_is_no_pair_is_read_as_before(tmp_path: Path) -> None:
    # Whole records in both, and a list of answers without an id.
    for name in ("one", "two"):
        put(tmp_path / f"{name}.json", [{"id": 1, "question": name, "answer": 3}])
    rows, problems = read(tmp_path)
    assert (len(rows), problems) == (2, [])
    put(tmp_path / "answers.json", [{"answer": 3}])
    rows, problems = read(tmp_path)
    assert len(rows) == 2
    assert problems[0].startswith("answers.json record 1: question is missing: call its column 'question'")


def test_answers_of_another_split_are_not_taken(tmp_path: Path) -> None:
    put(tmp_path / "test_questions.json", [{"id": 1, "question": "q"}])
    put(tmp_path / "train_answers.json", [{"id": 1, "answer": 3}])
    rows, problems = read(tmp_path)
    assert rows == []
    assert "the answer is missing" in problems[0]
