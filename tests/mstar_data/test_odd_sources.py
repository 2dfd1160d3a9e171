"""Sources as people have them: published layouts, spreadsheets, packed folders, JSON that is not quite JSON."""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from mstar.errors import InvalidDataset
from mstar.reach import Reach
from mstar_data.importing import import_source
from mstar_data.nesting import ShallowFile
from mstar_data.rows import ImportedRow, ReadOptions, read_rows
from mstar_data.summary import Summary
from small_png import small_png
from trusting_looks import TrustingLooks


def read(source: Path) -> list[ImportedRow]:
    summary = Summary()
    found = list(read_rows(source, summary, looks=TrustingLooks()))
    assert not summary.problems, summary.problems
    return found


def problems(source: Path) -> list[str]:
    summary = Summary()
    list(read_rows(source, summary, looks=TrustingLooks()))
    return summary.problems


def put(path: Path, data: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def lines(*records: Mapping[str, Any]) -> str:
    return "".join(json.dumps(one) + "\n" for one in records)


def one(folder: Path, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a record becomes."""
    put(folder / "0.png", small_png(0))
    put(folder / "a.jsonl", lines({"image": "0.png", "question": "q", **record}))
    (row,) = read(folder)
    return row.columns


@pytest.mark.parametrize(
    "record",
    [
        {"gt": 3},
        {"multiple_choice_answer": "3", "answers": ["3", "4"]},
        {"answers": ["3", "3 ", 3]},
        {"answers": [{"answer": "3", "answer_id": 1}, {"answer": "3", "answer_id": 2}]},
        {"Answer": 3},
        {"Ground Truth": "3", "ID": "x"},
    ],
)
def test_the_answer_is_found_in_columns_that_people_have(tmp_path: Path, record: dict[str, Any]) -> None:
    assert one(tmp_path, record)["answer"].strip() == "3"


def test_a_spreadsheet_may_begin_its_columns_with_capitals(tmp_path: Path) -> None:
    put(tmp_path / "0.png", small_png(0))
    put(tmp_path / "a.csv", "Image,Question,A,B,Answer\n0.png,Which?,red,blue,B\n")
    (row,) = read(tmp_path)
    assert (row.columns["question"], row.columns["choices"], row.columns["answer"]) == ("Which?", ["red", "blue"], "B")
    assert len(row.images) == 1


def test_mmstars_options_in_one_line_come_without_their_commas(tmp_path: Path) -> None:
    asked = "Which one?\nOptions: A: red, dark, B: blue, C: green, D: 1, 2"
    assert one(tmp_path, {"question": asked, "answer": "B"})["choices"] == ["red, dark", "blue", "green", "1, 2"]


def test_scienceqa_is_read_as_published(tmp_path: Path) -> None:
    base = {"question": "Which?", "choices": ["x", "y"], "hint": "", "task": "closed choice"}
    problem = {
        "7": {**base, "answer": 1, "image": "image.png", "split": "train"},
        "8": {**base, "answer": 0, "image": None, "split": "val", "question": "In words?"},
    }
    put(tmp_path / "problems.json", json.dumps(problem, indent=1))
    put(tmp_path / "pid_splits.json", json.dumps({"train": ["7"], "val": ["8"], "test": []}))
    put(tmp_path / "images" / "train" / "7" / "image.png", small_png(7))
    first, second = read(tmp_path)
    assert (first.columns["id"], first.split, first.images, first.columns["answer"]) == (
        "7", "train", (small_png(7),), "B",
    )  # fmt: skip
    assert (second.columns["id"], second.split, second.images) == ("8", "validation", ())


def test_ai2d_is_read_as_published(tmp_path: Path) -> None:
    about = {"answerTexts": ["leaf", "root"], "correctAnswer": 1, "abcLabel": False, "questionId": "0.png-0"}
    asked = {"imageName": "0.png", "questions": {"What is A?": about, "Which is B?": {**about, "abcLabel": True}}}
    put(tmp_path / "questions" / "0.png.json", json.dumps(asked))
    put(tmp_path / "annotations" / "0.png.json", json.dumps({"arrows": {}, "imageName": "0.png"}))
    put(tmp_path / "categories.json", json.dumps({"0.png": "plants"}))
    put(tmp_path / "images" / "0.png", small_png(0))
    put(tmp_path / "abc_images" / "0.png", small_png(1))
    first, second = read(tmp_path)
    assert (first.columns["question"], first.columns["choices"], first.columns["answer"]) == (
        "What is A?", ["leaf", "root"], "B",
    )  # fmt: skip
    assert (first.images, second.images) == ((small_png(0),), (small_png(1),))


def test_chartqa_is_read_as_published(tmp_path: Path) -> None:
    train = tmp_path / "ChartQA Dataset" / "train"
    put(train / "png" / "0.png", small_png(0))
    put(train / "tables" / "0.csv", "Year,Value\n2001,5\n")
    put(train / "annotations" / "0.json", json.dumps({"models": [{"name": "bar"}]}))
    put(train / "train_human.json", json.dumps([{"imgname": "0.png", "query": "How much?", "label": "5"}]))
    (row,) = read(tmp_path)
    assert (row.columns["answer"], row.images, row.split) == ("5", (small_png(0),), "train")


RECORDS = [{"image": "images/0.png", "question": f"q{n}", "answer": n} for n in range(3)]


def as_parquet() -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(RECORDS), sink)
    return sink.getvalue()


PACKED: dict[str, bytes] = {
    "train.jsonl": lines(*RECORDS).encode(),
    "train.json": json.dumps(RECORDS).encode(),
    "train.csv": ("image,question,answer\n" + "".join(f"images/0.png,q{n},{n}\n" for n in range(3))).encode(),
    "train.parquet": as_parquet(),
}


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("top", ["", "mine/", "mine/deeper/"])
def test_a_folder_that_is_packed_as_a_zip_is_read(tmp_path: Path, name: str, top: str) -> None:
    with zipfile.ZipFile(tmp_path / "packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{top}images/0.png", small_png(0))
        archive.writestr(f"{top}README.txt", "hello")
        archive.writestr(f"{top}{name}", PACKED[name])
        archive.writestr(f"__MACOSX/{top}._{name}", b"\0\5\x16\7")
        archive.writestr(f"{top}.DS_Store", b"\0")
    for source in (tmp_path, tmp_path / "packed.zip"):
        found = read(source)
        assert [row.columns["answer"] for row in found] == ["0", "1", "2"]
        assert {row.images for row in found} == {(small_png(0),)} and {row.split for row in found} == {"train"}


def test_a_bad_record_in_a_zip_is_named_by_archive_member_and_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.writestr("mine/val.jsonl", lines({"image": "../../../etc/passwd", "question": "q", "answer": 1}) + "{")
    first, second = problems(tmp_path)
    assert first == "packed.zip/mine/val.jsonl line 1: image ../../../etc/passwd is not there"
    assert second == "packed.zip/mine/val.jsonl line 2: not valid JSON"


def test_a_member_with_more_than_its_size_can_hold_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.jsonl", b"\n" * (300 * 2**20))
    with pytest.raises(InvalidDataset, match=r"packed\.zip/train\.jsonl cannot be read .it unpacks to 300 MiB"):
        import_source(tmp_path / "packed.zip", tmp_path / "set", looks=TrustingLooks())


def test_problems_say_in_which_folder_the_file_lies(tmp_path: Path) -> None:
    for split in ("train", "test"):
        put(tmp_path / split / "metadata.jsonl", lines({"file_name": "0.png", "question": "q", "answer": 1}))
    assert [one.partition(":")[0] for one in problems(tmp_path)] == [
        "test/metadata.jsonl line 1", "train/metadata.jsonl line 1",
    ]  # fmt: skip


def test_lists_inside_of_an_object_are_read_and_may_be_splits(tmp_path: Path) -> None:
    put(tmp_path / "images" / "0.png", small_png(0))
    about = {"info": {"version": 1, "tags": ["a"]}, "licenses": [], "data": RECORDS}
    put(tmp_path / "all.json", json.dumps(about))
    assert [row.columns["answer"] for row in read(tmp_path)] == ["0", "1", "2"]
    put(tmp_path / "all.json", json.dumps({"train": RECORDS[:2], "test": RECORDS[2:]}))
    assert [row.split for row in read(tmp_path)] == ["train", "train", "test_id"]


def test_lines_and_lists_are_told_apart_whatever_the_file_is_called(tmp_path: Path) -> None:
    put(tmp_path / "images" / "0.png", small_png(0))
    put(tmp_path / "a.json", "\ufeff" + lines(*RECORDS))
    put(tmp_path / "b.jsonl", json.dumps([{**record, "question": "other"} for record in RECORDS], indent=2))
    assert [row.columns["answer"] for row in read(tmp_path)] == ["0", "1", "2"] * 2


def test_what_json_does_not_know_as_a_number_is_an_empty_cell(tmp_path: Path) -> None:
    put(tmp_path / "images" / "0.png", small_png(0))
    odd = [{**record, "hint": float("nan"), "unit": float("inf"), "note": 'NaN "NaN" \\'} for record in RECORDS]
    put(tmp_path / "a.json", json.dumps(odd))
    assert [row.columns["answer"] for row in read(tmp_path)] == ["0", "1", "2"]


@pytest.mark.parametrize("size", range(1, 24))
def test_no_number_is_told_from_a_text_wherever_chunks_end(size: int) -> None:
    text = json.dumps([float("nan"), -float("inf"), "NaN", 'a"NaN\\', {"NaN": float("inf")}, -1, "-"]).encode()
    file, read_in = ShallowFile(io.BytesIO(text)), b""
    while chunk := file.read(size):
        read_in += chunk
    assert json.loads(read_in) == [None, None, "NaN", 'a"NaN\\', {"NaN": None}, -1, "-"]


def test_a_linked_folder_of_pictures_brings_no_records_of_its_own(tmp_path: Path) -> None:
    put(tmp_path / "other" / "train.jsonl", lines({"image": "0.png", "question": "theirs", "answer": 1}))
    put(tmp_path / "other" / "0.png", small_png(0))
    put(tmp_path / "mine" / "train.jsonl", lines({"image": "pictures/0.png", "question": "mine", "answer": 2}))
    (tmp_path / "mine" / "pictures").symlink_to("../other")
    reached = Summary()
    options = ReadOptions(reach=Reach(root=tmp_path, binding=False))
    found = list(read_rows(tmp_path / "mine", reached, options, looks=TrustingLooks()))
    assert [row.columns["question"] for row in found] == ["mine"] and not reached.bad
    # Where no records lie beside the link, or it is called as a split, those behind it are the set's.
    (tmp_path / "mine" / "validation").symlink_to("../other")
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "part").symlink_to("../other")
    for source, asked in (("mine", ["mine", "theirs"]), ("only", ["theirs"])):
        found = list(read_rows(tmp_path / source, Summary(), options, looks=TrustingLooks()))
        assert sorted(row.columns["question"] for row in found) == asked
