"""Options, answers, pictures and tables, however a source writes them, and what would be read wrongly."""

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from mstar.answers import answer_of
from mstar.errors import InvalidDataset
from mstar_data.importing import import_source
from mstar_data.rows import ReadOptions, read_rows
from mstar_data.summary import Summary
from source_bench import OTHER, PNG, rows, write
from trusting_looks import TrustingLooks


def test_an_empty_hint_and_padded_options_are_no_text(tmp_path: Path) -> None:
    record = {"image": "0.png", "question": "q", "hint": "nan", "options": ["a", "b", None, None], "answer": "b"}
    (row,) = rows(write(tmp_path, [record]))
    assert row.columns["question"] == "q" and row.columns["choices"] == ["a", "b"]


@pytest.mark.parametrize(
    "record",
    [
        {"images": ["0.png", "1.png"], "question": "q", "answer": 1},
        {"image_1": "0.png", "image_2": "1.png", "question": "q", "answer": 1},
        {"image": ["0.png", "1.png"], "conversations": [{"value": "<image><image>q"}, {"value": "1"}]},
        {
            "images": ["0.png", "1.png"],
            "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "1"}],
        },
    ],
)  # fmt: skip
def test_several_images_are_kept_in_order(tmp_path: Path, record: dict[str, Any]) -> None:
    source = write(tmp_path, [record])
    (tmp_path / "1.png").write_bytes(OTHER)
    import_source(source, tmp_path / "set")
    row = json.loads((tmp_path / "set" / "train" / "metadata.jsonl").read_text())
    images = [(tmp_path / "set" / "train" / name).read_bytes() for name in row["file_names"]]
    assert images == [PNG, OTHER] and "file_name" not in row


def test_questions_without_an_answer_get_a_split_of_their_own_when_asked(tmp_path: Path) -> None:
    source = write(tmp_path, [{"image": "0.png", "question": "q"}, {"image": "0.png", "question": "r", "answer": 1}])
    assert [row.split for row in rows(source, ReadOptions(unlabelled=True))] == ["unlabelled", "train"]
    with pytest.raises(InvalidDataset, match="line 1: the answer is missing"):
        import_source(source, tmp_path / "set")


def test_what_datasets_saved_to_the_disk_is_read(tmp_path: Path) -> None:
    table = pyarrow.Table.from_pylist([{"question": "q", "answer": "1", "image": {"bytes": PNG, "path": None}}])
    (tmp_path / "train").mkdir()
    path = str(tmp_path / "train" / "data-00000-of-00001.arrow")
    with pyarrow.OSFile(path, "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "train" / "state.json").write_text('{"_data_files": []}')
    (row,) = rows(tmp_path)
    assert (row.split, row.images) == ("train", (PNG,))


@pytest.mark.parametrize(
    ("choices", "answer"),
    [
        ({"B": "dog", "A": "cat"}, "B"),
        (["A. cat", "B. dog"], "dog"),
        (["(A) cat", "(B) dog"], "B"),
        ([{"label": "A", "text": "cat"}, {"label": "B", "text": "dog"}], "B"),
        ("['cat' 'dog']", "B"),
        ("['cat', 'dog']", "dog"),
        ("A. cat\nB. dog", "B"),
        (["cat", "dog"], "B. dog"),
        ({"text": ["cat", "dog"], "label": ["A", "B"]}, "B"),
        ({"text": ["cat", "dog"], "label": ["1", "2"]}, "2"),
        ([{"id": 7, "text": "cat"}, {"id": 9, "text": "dog"}], 9),
        ({"1": "cat", "2": "dog"}, 2.0),
        ({"A": "cat", "B": None, "C": "dog"}, "C"),
        (["1. cat", "2. dog"], "2"),
        (["1. cat", "2. dog"], "2. dog"),
        (["b) cat", "a) dog"], "(a)"),
        (["cat", "dog"], ["B"]),
        (["cat", "dog"], "['dog']"),
    ],
)
def test_options_are_understood_however_they_are_written(tmp_path: Path, choices: Any, answer: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"question": "q", "choices": choices, "answer": answer}))
    (row,) = read_rows(tmp_path / "a.jsonl", Summary(), looks=TrustingLooks())
    assert (row.columns["choices"], row.columns["answer"]) == (["cat", "dog"], "B")


def test_a_hole_among_lettered_columns_moves_no_answer(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,A,B,C,D,answer\nq,cat,,dog,nan,C\n")
    (row,) = read_rows(tmp_path / "a.csv", Summary(), looks=TrustingLooks())
    assert (row.columns["choices"], row.columns["answer"]) == (["cat", "dog"], "B")


@pytest.mark.parametrize(
    "options", [["1.5", "2.5"], ["1 : 2", "2 : 3"], ["(1) and (2)", "(2) and (3)"], ["A. Li", "J. Li"]]
)
def test_what_only_looks_like_a_name_stays_in_the_option(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"question": "q", "choices": options, "answer": options[1]}))
    (row,) = read_rows(tmp_path / "a.jsonl", Summary(), looks=TrustingLooks())
    assert (row.columns["choices"], row.columns["answer"]) == (options, "B")


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ("She has 3 + 4 = 7.\n#### 7", "7"),
        ("<answer> 7 </answer>", "7"),
        ("We add.\n\nSo it is \\boxed{7}.", "7"),
        ("\\boxed{7}", "\\boxed{7}"),
        ("two lines\nof text", "two lines\nof text"),
    ],
)
def test_the_answer_is_taken_out_of_a_marked_solution(tmp_path: Path, answer: str, read: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"problem": "q", "solution": answer}))
    (row,) = read_rows(tmp_path / "a.jsonl", Summary(), looks=TrustingLooks())
    assert row.columns["answer"] == read


ANSWERED = {"role": "assistant", "content": "1"}
TURNS = [{"from": "system", "value": "s"}, {"from": "human", "value": "<image>q"}, {"from": "gpt", "value": "1"}]


@pytest.mark.parametrize(
    "record",
    [
        {"image": "0.png", "conversations": TURNS},
        {"image": "0.png", "conversations": json.dumps(TURNS)},
        {"images": ["0.png"], "conversations": [{"role": "user", "content": "q"}, ANSWERED]},
        {"image": "0.png", "messages": [{"role": "user", "content": "<image>q"}, ANSWERED]},
        {"image": "0.png", "messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "q"}]},
                                        ANSWERED]},
        {"images": "0.png", "question": "q", "answer": 1},
        {"image": ["0.png"], "question": "q", "answer": 1},
        {"images": '["0.png"]', "question": "q", "answer": 1},
        {"imgname": "0.png", "query": "q", "label": "1"},
        {"image": ".\\0.png", "question": "q", "answer": 1},
    ],
)  # fmt: skip
def test_roles_and_pictures_are_found_however_they_are_called(tmp_path: Path, record: dict[str, Any]) -> None:
    source = write(tmp_path, [record])
    (row,) = read_rows(source, Summary(), looks=TrustingLooks())
    assert (row.columns["question"], row.columns["answer"], row.images) == ("q", "1", (PNG,))


def test_a_table_may_separate_by_semicolons(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question;answer\nWhat, 1?;2,5\n")
    (row,) = read_rows(tmp_path / "a.csv", Summary(), looks=TrustingLooks())
    assert (row.columns["question"], row.columns["answer"]) == ("What, 1?", "2.5")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_table_in_another_encoding_is_named(tmp_path: Path, name: str, encoding: str) -> None:
    (tmp_path / name).write_text("question,answer\né,1\n", encoding=encoding)
    found = Summary()
    assert not list(read_rows(tmp_path / name, found, looks=TrustingLooks()))
    assert "not UTF-8: save the file in that encoding" in found.problems[0]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "question,answer\nq,1,000\n", "line 2: 3 fields, where the head names 2"),
        ("a.tsv", 'question\tanswer\n"never closed\t1\nq\t2\n', "unexpected end of data"),
        ("a.jsonl", '{"question": "a\\u0000b", "answer": 1}', "question holds a character that no text can have"),
        ("a.jsonl", '{"question": "\\ud800", "answer": 1}', "question holds a character that no text can have"),
        ("a.jsonl", '{"question": "q", "answer": "12 m", "unit": "cm"}', "is in m, and unit says 'cm': correct one"),
        ("a.jsonl", '{"question": "q", "answer": "$5", "unit": "kg"}', "is in $, and unit says 'kg': correct one"),
        ("a.jsonl", json.dumps({"question": "q", "answer": "x" * 5000}), "answer: String should have at most 4096"),
        ("a.jsonl", '{"question": "q", "answer": "A", "choices": ["a", null, "c"]}', "option B is empty"),
        ("a.jsonl", '{"question": "<image> and <image>", "answer": 1, "image": "0.png"}', "2 marks <image>, and 1"),
    ],
)
def test_what_would_be_read_wrongly_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    found = Summary()
    assert not list(read_rows(tmp_path / name, found, looks=TrustingLooks()))
    assert found.bad == 1 and said in found.problems[0] and "pydantic" not in found.problems[0]


@pytest.mark.parametrize(
    ("answer", "unit"),
    [("3 cm", "centimetres"), ("1.2k", "dollars"), ("5 C", "degrees Celsius"), ("3 pies", "food")],
)
def test_units_that_may_be_one_are_no_contradiction(answer: str, unit: str) -> None:
    assert answer_of({"answer": answer, "unit": unit}).unit == unit


def test_decimals_and_dates_of_a_table_are_answers(tmp_path: Path) -> None:
    for said, value in (("1.50", decimal.Decimal("1.50")), ("2020-01-02", datetime.date(2020, 1, 2))):
        table = pyarrow.table({"question": ["q"], "answer": pyarrow.array([value])})
        parquet.write_table(table, tmp_path / "a.parquet")
        (row,) = read_rows(tmp_path / "a.parquet", Summary(), looks=TrustingLooks())
        assert row.columns["answer"] == said


def test_images_beside_the_splits_are_shared_by_them(tmp_path: Path) -> None:
    for folder in ("images", "train", "test"):
        (tmp_path / folder).mkdir()
    (tmp_path / "images" / "0.png").write_bytes(PNG)
    for split in ("train", "test"):
        row = {"file_name": "../images/0.png", "question": split, "answer": 1}
        (tmp_path / split / "metadata.jsonl").write_text(json.dumps(row))
    found = Summary()
    list(read_rows(tmp_path, found, looks=TrustingLooks()))
    assert found.records == {"train": 1, "test_id": 1}
