"""What is no source of records or no picture is called what it is, with what to do."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from mstar.errors import InvalidDataset
from mstar_data.rows import ImportedRow, image_ending, read_rows
from mstar_data.summary import Summary
from trusting_looks import TrustingLooks

RECORD = {"question": "How many?", "answer": "3"}


def read(source: Path) -> tuple[list[ImportedRow], list[str]]:
    summary = Summary()
    return list(read_rows(source, summary, looks=TrustingLooks())), summary.problems


@pytest.mark.parametrize("whole", [True, False])
def test_a_spreadsheet_is_to_be_saved_as_csv(tmp_path: Path, whole: bool) -> None:
    (tmp_path / "answers.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(InvalidDataset, match=r"answers\.xlsx is a spreadsheet: save its table as CSV"):
        read(tmp_path if whole else tmp_path / "answers.xlsx")
    (tmp_path / "all.csv").write_text("question|answer\nHow many?|3\n")
    (row,), _ = read(tmp_path)
    assert row.columns["answer"] == "3"


@pytest.mark.parametrize("columns", [{"question": ["a?", "b?"]}, {"question": {"0": "a?"}, "answer": {"0": "1"}}])
def test_a_table_by_columns_is_to_be_written_by_records(tmp_path: Path, columns: dict[str, Any]) -> None:
    (tmp_path / "train.json").write_text(json.dumps(columns))
    rows, problems = read(tmp_path)
    assert not rows and "train.json holds columns, not records" in problems[0] and len(problems) == 1


def test_an_arrow_file_is_read_as_a_stream_is(tmp_path: Path) -> None:
    table = pyarrow.Table.from_pylist([RECORD, RECORD | {"answer": "4"}])
    with pyarrow.OSFile(str(tmp_path / "train.arrow"), "wb") as file, pyarrow.ipc.new_file(file, table.schema) as to:
        to.write_table(table)
    rows, problems = read(tmp_path)
    assert [row.columns["answer"] for row in rows] == ["3", "4"] and not problems


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "column 'answer' is null: give its answer"),
        ([], "answer is an empty list"),
        ({"value": 3}, "in a mapping (columns: {answer: answer.value})"),
    ],
)
def test_an_answer_that_is_none_says_so(tmp_path: Path, answer: Any, said: str) -> None:
    (tmp_path / "all.jsonl").write_text(json.dumps(RECORD | {"answer": answer}))
    rows, problems = read(tmp_path)
    assert not rows and said in problems[0]


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"", "is empty): fetch it again"),
        (b"GIF89a", "is GIF): convert it"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is HEIC): convert it"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "is AVIF): convert it"),
        (b"BM\0\0", "is BMP): convert it"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\n<!DOCTYPE html>", "a web page: fetch the picture again"),
        (b"<svg xmlns=", "SVG"),
        (b"text", "WebP: convert it"),
    ],
)
def test_what_is_no_picture_is_called_what_it_is(head: bytes, said: str) -> None:
    with pytest.raises(ValueError, match="the image is not a PNG, JPEG or WebP") as refused:
        image_ending(head)
    assert said in str(refused.value)
