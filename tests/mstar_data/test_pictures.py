"""Pictures that records name without their folder, by an id, or in another spelling than the disk has."""

import json
import unicodedata
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mstar_data.rows import ImportedRow, read_rows
from mstar_data.summary import Summary
from small_png import small_png
from trusting_looks import TrustingLooks


def put(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())


def read(source: Path) -> tuple[list[ImportedRow], list[str]]:
    summary = Summary()
    return list(read_rows(source, summary, looks=TrustingLooks())), summary.problems


def only(source: Path, record: Mapping[str, Any], file: str = "records.json") -> tuple[list[ImportedRow], list[str]]:
    put(source / file, [{"question": "q", "answer": 3, **record}])
    return read(source)


PUBLISHED: list[tuple[str, dict[str, Any], str]] = [
    ("vizwiz/train.json", {"image": "VizWiz_train_00000000.jpg"}, "vizwiz/train/VizWiz_train_00000000.jpg"),
    ("TextVQA_0.5.1_train.json", {"image_id": "003a8ae2ef43b901"}, "train_images/003a8ae2ef43b901.jpg"),
    (
        "TextVQA_0.5.1_val.json",
        {"image_id": "003a8ae2ef43b901", "set_name": "val"},
        "train_images/003a8ae2ef43b901.jpg",
    ),
    ("train_balanced_questions.json", {"imageId": "2354786"}, "images/2354786.jpg"),
    ("aokvqa_v1p0_train.json", {"image_id": 299207, "split": "train"}, "train2017/000000299207.jpg"),
    (
        "infographicsVQA_train_v1.0.json",
        {"image_local_name": "20471.jpeg", "image_url": "https://example.org/1.jpg"},
        "infographicsvqa_images/20471.jpeg",
    ),
    ("train_task_1.json", {"file_name": "a_1.jpg", "file_path": "coco-text/a_1.jpg"}, "coco-text/a_1.jpg"),
]


@pytest.mark.parametrize(("file", "record", "picture"), PUBLISHED)
def test_published_sets_name_pictures_in_their_own_way(
    tmp_path: Path, file: str, record: dict[str, Any], picture: str
) -> None:
    put(tmp_path / picture, small_png(0))
    put(tmp_path / "others" / "1.jpg", small_png(1))
    rows, problems = only(tmp_path, record, file)
    assert (problems, [row.images for row in rows]) == ([], [(small_png(0),)])


def test_a_picture_in_a_zip_goes_by_its_id_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "train2014.zip", "w") as archive:
        archive.writestr("train2014/COCO_train2014_000000000009.jpg", small_png(0))
    rows, problems = only(tmp_path, {"image_id": 9})
    assert (problems, [row.images for row in rows]) == ([], [(small_png(0),)])


def test_clevr_is_read_as_published(tmp_path: Path) -> None:
    for split in ("train", "val"):
        name = f"CLEVR_{split}_000000.png"
        asked = {"image_index": 0, "program": [{"inputs": []}], "question_index": 0, "image_filename": name}
        asked |= {"question": f"How many in {split}?", "answer": "3", "split": split}
        put(tmp_path / "questions" / f"CLEVR_{split}_questions.json", {"info": {"split": split}, "questions": [asked]})
        scene = {"image_index": 0, "objects": [{"color": "brown"}], "image_filename": name, "split": split}
        put(tmp_path / "scenes" / f"CLEVR_{split}_scenes.json", {"info": {}, "scenes": [scene]})
        put(tmp_path / "images" / split / name, small_png(len(split)))
    rows, problems = read(tmp_path)
    assert problems == []
    assert {row.split: row.images for row in rows} == {"train": (small_png(5),), "validation": (small_png(3),)}


def test_geometry3k_is_read_as_published(tmp_path: Path) -> None:
    for split, number in (("train", 0), ("test", 2401)):
        folder = tmp_path / split / str(number)
        problem = {"problem_text": "Find x.", "choices": ["5.8", "34.2"], "answer": "B", "id": number}
        put(folder / "data.json", {**problem, "point_positions": {"A": [1.0, 2.0]}, "circle_instances": []})
        put(folder / "logic_form.json", {"text_logic_form": ["Find(x)"], "line_instances": ["AB"]})
        put(folder / "img_diagram.png", small_png(number))
        put(folder / "img_diagram_point.png", small_png(1))
    rows, problems = read(tmp_path)
    assert problems == []
    assert {(row.split, row.columns["answer"], row.images) for row in rows} == {
        ("train", "B", (small_png(0),)),
        ("test_id", "B", (small_png(2401),)),
    }


def test_of_several_pictures_none_is_taken(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        put(tmp_path / folder / "1.png", small_png(0))
    rows, problems = only(tmp_path, {"image": "1.png"})
    assert rows == []
    assert "image 1.png may be any of 2 (a/1.png, b/1.png): give its path" in problems[0]


def test_a_lost_picture_is_not_taken_from_another_split_or_another_set(tmp_path: Path) -> None:
    record = {"question": "q", "answer": 3, "file_name": "1.png"}
    put(tmp_path / "train" / "metadata.jsonl", record)
    put(tmp_path / "test" / "metadata.jsonl", record)
    put(tmp_path / "test" / "1.png", small_png(0))
    rows, problems = read(tmp_path)
    assert ([row.split for row in rows], len(problems)) == (["test_id"], 1)
    assert problems[0].endswith("image 1.png is not there")


def test_a_picture_in_a_folder_of_another_split_is_another(tmp_path: Path) -> None:
    put(tmp_path / "val2014" / "5.png", small_png(0))
    for record in ({"image": "5.png", "split": "train"}, {"image_id": 5, "split": "train"}):
        rows, problems = only(tmp_path, record)
        assert (rows, len(problems)) == ([], 1)


@pytest.mark.parametrize(
    ("named", "there"),
    [
        ("Cat.PNG", "cat.png"),
        ("images/Cat.png", "data/images/cat.png"),
        (unicodedata.normalize("NFC", "café.png"), unicodedata.normalize("NFD", "café.png")),
    ],
)
def test_a_name_in_another_spelling_is_refused_with_the_one_that_is_there(
    tmp_path: Path, named: str, there: str
) -> None:
    put(tmp_path / there, small_png(0))
    rows, problems = only(tmp_path, {"image": named})
    assert rows == []
    assert f"image {named} is not there; {there} is, whose name differs in the case of letters or in" in problems[0]


def test_the_member_of_an_archive_is_named_in_its_own_spelling(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.writestr("in/cat.png", small_png(0))
    _, problems = only(tmp_path, {"image": "in/Cat.png"})
    assert "image in/Cat.png is not there; pictures.zip/in/cat.png is" in problems[0]


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("v2_mscoco_val2014_x.json", "validation"),
        ("aokvqa_v1p0_test.json", "test_id"),
        ("my_development_set.json", "train"),
        ("train_and_val.json", "train"),
        ("all_of_test_and_val.json", "train"),
    ],
)
def test_the_split_may_stand_anywhere_in_a_files_name(tmp_path: Path, file: str, split: str) -> None:
    rows, problems = only(tmp_path, {}, file)
    assert (problems, [row.split for row in rows]) == ([], [split])
