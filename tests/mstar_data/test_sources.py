"""Mapping files, archives, labelled steps, several images: what the readers of published shapes leave out."""

import datetime
import decimal
import gzip
import io
import json
import lzma
import re
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from mstar.answers import answer_of
from mstar.errors import InvalidDataset, InvalidInput
from mstar_data.importing import import_source, options_of
from mstar_data.mapping import Condition
from mstar_data.mapping import Mapping as Columns
from mstar_data.rows import Options, Row, read_rows
from mstar_data.summary import Summary
from trusting_looks import TrustingLooks

CASES = Path(__file__).parents[1] / "cases" / "formats"
PNG = (CASES / "imagefolder" / "train" / "0.png").read_bytes()
OTHER = (CASES / "imagefolder" / "train" / "1.png").read_bytes()


def rows(source: Path, options: Options = Options(), summary: Summary | None = None) -> list[Row]:  # noqa: B008
    found = Summary() if summary is None else summary
    read = list(read_rows(source, found, options))
    assert summary is not None or not found.problems, found.problems
    return read


def write(folder: Path, records: list[Mapping[str, Any]], name: str = "all.jsonl") -> Path:
    (folder / "0.png").write_bytes(PNG)
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_a_mapping_names_columns_types_splits_and_filters(tmp_path: Path) -> None:
    source = write(
        tmp_path,
        [
            {"ask": "a?", "gold": "2", "meta": {"pic": "0.png", "task": "x"}, "fold": "tr", "lang": "en", "kind": "mc",
             "opts": ["p", "q"]},
            {"ask": "b?", "gold": "1.50", "meta": {"pic": "0.png"}, "fold": "te", "lang": "en", "kind": "num"},
            {"ask": "c?", "gold": "1", "meta": {"pic": "0.png"}, "fold": "te", "lang": "fr", "kind": "num"},
            {"ask": "d?", "gold": "1", "meta": {"pic": "0.png"}, "fold": "??", "lang": "en", "kind": "num"},
        ],
    )  # fmt: skip
    (tmp_path / "map.yaml").write_text(
        "columns: {question: ask, answer: gold, image: meta.pic, group: meta.task, choices: opts}\n"
        "types:\n  - {when: {column: kind, equals: mc}, type: choice}\n  - {type: float, precision: 2, unit: cm}\n"
        "first_index: 1\nsplits: {column: fold, values: {tr: train, te: test_id}}\n"
        "filters: [{column: lang, in: [en]}]\nlicence: cc-by-4.0\n"
    )
    summary = Summary()
    first, second = rows(source, options_of(tmp_path / "map.yaml"), summary)
    assert (first.split, first.columns["answer"], first.columns["group"]) == ("train", "B", "x")
    assert (second.split, second.columns["answer_type"], second.columns["precision"], second.columns["unit"]) == (
        "test_id", "float", 2, "cm",
    )  # fmt: skip
    assert (summary.filtered, summary.bad) == (1, 1)
    assert "line 4: fold is '??', which the mapping's splits do not name" in summary.problems[0]
    import_source(source, tmp_path / "set", options_of(tmp_path / "map.yaml"), skip_bad=True)
    assert json.loads((tmp_path / "set" / "import.json").read_text())["licence"] == "cc-by-4.0"


def test_a_mapping_and_shares_may_name_further_tests(tmp_path: Path) -> None:
    source = write(tmp_path, [{"image": "0.png", "question": f"q{n}", "answer": n, "fold": "c"} for n in range(40)])
    (tmp_path / "map.yaml").write_text("splits: {column: fold, values: {c: charts}}\n")
    assert {row.split for row in rows(source, options_of(tmp_path / "map.yaml"))} == {"charts"}
    assert {row.split for row in rows(source, Options(shares={"train": 0.5, "maps": 0.5}))} == {"train", "maps"}
    (tmp_path / "map.yaml").write_text("splits: {column: fold, values: {c: ../x}}\n")
    with pytest.raises(InvalidInput, match="splits"):
        options_of(tmp_path / "map.yaml")


def test_a_mapping_splits_conversations_too(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "<image>\nq"}, {"from": "gpt", "value": "The answer is 3"}]
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "3"}]
    record = {"image": "0.png", "fold": "te"}
    source = write(tmp_path, [{**record, "conversations": turns}, {**record, "images": ["0.png"], "messages": chat}])
    (tmp_path / "map.yaml").write_text("splits: {column: fold, values: {te: test_id}}\n")
    assert [row.split for row in rows(source, options_of(tmp_path / "map.yaml"))][:1] == ["test_id"]
    own = write(tmp_path, [{**record, "conversations": turns, "split": "val"}])
    assert rows(own)[0].split == "validation"


def test_held_out_ids_are_kept_from_training(tmp_path: Path) -> None:
    source = write(tmp_path, [{"id": f"r{n}", "image": "0.png", "question": f"q{n}", "answer": n} for n in range(4)])
    (tmp_path / "ids.list").write_text("r1\nr3\n")
    (tmp_path / "map.yaml").write_text("splits: {held_out: ids.list, split: test_ood}\n")
    assert [row.split for row in rows(source, options_of(tmp_path / "map.yaml"))] == ["train", "test_ood"] * 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a", "must hold keys"),
        ("colums: {}", "colums"),
        ("columns: {quesion: q}", "columns"),
        ("filters: [{column: a}]", "give a test"),
        ("filters: [{column: a, matches: '('}]", "no regular expression"),
        ("filters: [{column: a, matches: '(?=a)'}]", "no regular expression"),
        ("filters: [{column: a, matches: '((x{500}){500}){500}'}]", "no regular expression"),
        ("splits: {column: a}", "belong together"),
        ("splits: {shares: {train: 0.5}}", "shares make 0.5"),
        ("splits: {held_out: none.list}", "none.list is not there"),
        ("columns: [", "cannot be read"),
        ("types: [{type: number}]", "types"),
    ],
)
def test_a_bad_mapping_names_its_key(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(InvalidInput, match=said):
        options_of(tmp_path / "map.yaml")


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|a)*$", "(.*a){25}$", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_no_pattern_takes_time_without_bound(pattern: str) -> None:
    condition = Condition(column="a", matches=pattern)
    assert not condition.holds({"a": "a" * 5000 + "!"})


@pytest.mark.parametrize(("value", "found"), [("Änderung 12 €", True), ("a\ud800 7", True), (12, True), (None, False)])
def test_a_pattern_is_found_anywhere_in_any_value(value: object, found: bool) -> None:
    assert Condition(column="a", matches=r"(?i)ÄND|\d").holds({"a": value}) is found


def test_a_column_that_the_mapping_names_must_be_there(tmp_path: Path) -> None:
    source = write(tmp_path, [{"image": "0.png", "question": "q", "answer": 1}])
    summary = Summary()
    rows(source, Options(mapping=Columns(columns={"question": "ask"})), summary)
    assert "line 1: the mapping's column 'ask' for question is not there" in summary.problems[0]


def packed(path: Path, members: Mapping[str, bytes]) -> None:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("name", ["shard-000000.tar", "shard-000000.tar.gz", "shard.zip"])
@pytest.mark.parametrize("whole", [True, False])
def test_webdataset_shards_are_read(tmp_path: Path, name: str, whole: bool) -> None:
    record = json.dumps({"question": "How many?", "answer": "3"}).encode()
    packed(tmp_path / name, {"a/0001.png": PNG, "a/0001.json": record, "a/0002.png": OTHER, "a/0002.json": record})
    found = rows(tmp_path if whole else tmp_path / name)
    assert [row.columns["id"] for row in found] == ["a/0001", "a/0002"]
    assert [row.images for row in found] == [(PNG,), (OTHER,)]


@pytest.mark.parametrize("name", ["data_images.zip", "data_images.tar"])
@pytest.mark.parametrize("inner", ["TabMWP/0.png", "data_images/TabMWP/0.png"])
def test_images_are_found_in_archives_beside_the_records(tmp_path: Path, name: str, inner: str) -> None:
    packed(tmp_path / name, {inner: OTHER})
    write(tmp_path, [{"image": "TabMWP/0.png", "question": "q", "answer": 1}])
    assert rows(tmp_path)[0].images == (OTHER,)


def test_a_damaged_or_compressed_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "shard.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(InvalidDataset, match=r"shard\.tar is not a readable archive"):
        import_source(tmp_path / "shard.tar", tmp_path / "set")
    (tmp_path / "shard.tar").unlink()
    packed(tmp_path / "images.tar.gz", {"0001.png": PNG})
    source = tmp_path / "train.jsonl"
    source.write_text(json.dumps({"image": "0001.png", "question": "q", "answer": 1}))
    with pytest.raises(InvalidDataset, match="compressed tar"):
        import_source(tmp_path, tmp_path / "set")


@pytest.mark.parametrize(
    ("name", "tool"), [("b.parquet.gz", "gunzip"), ("b.arrow.bz2", "bunzip2"), ("b.Parquet.zst", "unzstd")]
)
def test_a_compressed_table_is_never_left_out_in_silence(tmp_path: Path, name: str, tool: str) -> None:
    write(tmp_path, [{"image": "0.png", "question": "q", "answer": 1}], "a.jsonl")
    (tmp_path / name).write_bytes(b"packed")
    for source in (tmp_path, tmp_path / name):
        with pytest.raises(InvalidDataset, match=f"is compressed: unpack it first .{tool}"):
            import_source(source, tmp_path / "set")


PACKERS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


def packed_text(text: str, ending: str) -> bytes:
    """The text in a format by its ending."""
    if ending == ".xz":
        return lzma.compress(text.encode())
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, PACKERS[ending]) as stream:
        stream.write(text.encode())
    return bytes(sink.getvalue())


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize(
    ("name", "split"), [("train.jsonl", "train"), ("val.json", "validation"), ("TEST.csv", "test_id")]
)
def test_compressed_text_is_read_as_it_unpacks(tmp_path: Path, ending: str, name: str, split: str) -> None:
    records = [{"image": "0.png", "question": f"q{n}", "answer": n} for n in range(500)]
    table = "\n".join(["image,question,answer", *(f"0.png,q{n},{n}" for n in range(500))])
    lines = "".join(json.dumps(one) + "\n" for one in records)
    text = {".jsonl": lines, ".json": json.dumps(records), ".csv": table}[Path(name).suffix]
    (tmp_path / "0.png").write_bytes(PNG)
    (tmp_path / f"{name}{ending}").write_bytes(packed_text(text, ending))
    for source in (tmp_path, tmp_path / f"{name}{ending}"):
        found = list(read_rows(source, Summary(), looks=TrustingLooks()))
        assert [row.columns["answer"] for row in found] == [str(n) for n in range(500)]
        assert {row.split for row in found} == {split}
    whole = (tmp_path / f"{name}{ending}").read_bytes()
    (tmp_path / f"{name}{ending}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidDataset, match=re.escape(f"{name}{ending}")):
        import_source(tmp_path, tmp_path / "set", looks=TrustingLooks())


def test_a_small_file_that_would_unpack_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl.gz").write_bytes(gzip.compress((b" " * (2**20 - 1) + b"\n") * 300))
    with pytest.raises(InvalidDataset, match="unpacks to more than"):
        import_source(tmp_path, tmp_path / "set", looks=TrustingLooks())


def test_an_empty_hint_and_padded_options_are_no_text(tmp_path: Path) -> None:
    record = {"image": "0.png", "question": "q", "hint": "nan", "options": ["a", "b", None, None], "answer": "b"}
    (row,) = rows(write(tmp_path, [record]))
    assert row.columns["question"] == "q" and row.columns["choices"] == ["a", "b"]


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", b"\0" * (49 * 2**20))
    (tmp_path / "train.jsonl").write_text(json.dumps({"image": "0.png", "question": "q", "answer": 1}))
    with pytest.raises(InvalidDataset, match="larger than 48 MiB"):
        import_source(tmp_path, tmp_path / "set")


SIGNED = [
    {"from": "system", "value": "You judge steps."},
    {"from": "human", "value": "<image>\n### Question:\np\n\n### Solution Process:\na"},
    {"from": "gpt", "value": "+"},
    {"from": "human", "value": "b"},
    {"from": "gpt", "value": "-"},
]
"""As VisualPRM's training files have it."""
RATED = [
    {"completions": [{"text": "x", "rating": -1}, {"text": "a", "rating": 1}], "chosen_completion": 1},
    {"completions": [{"text": "b", "rating": -1}], "chosen_completion": None},
]
"""As PRM800K has it."""


@pytest.mark.parametrize(
    ("record", "steps", "labels"),
    [
        ({"prompt": "p", "completions": ["a", "b"], "labels": [True, False]}, ["a", "b"], [1.0, 0.0]),
        ({"prompt": "p", "completions": ["a"], "labels": [0.25], "answer": "7"}, ["a"], [0.25]),
        ({"question": "p", "steps": [{"step": "a", "score": 0.5}, {"step": "b", "score": 1}]}, ["a", "b"], [0.5, 1.0]),
        ({"question": "p", "steps": [{"text": "a", "rating": -1}, {"text": "b", "rating": 1}]}, ["a", "b"], [0.0, 1.0]),
        ({"conversations": SIGNED}, ["a", "b"], [1.0, 0.0]),
        ({"question": {"problem": "p"}, "label": {"steps": RATED}}, ["a", "b"], [1.0, 0.0]),
    ],
)
def test_labelled_steps_of_several_shapes_are_one(
    tmp_path: Path, record: dict[str, Any], steps: list[str], labels: list[float]
) -> None:
    (row,) = rows(write(tmp_path, [{"image": "0.png", **record}]))
    assert (row.split, row.columns["completions"], row.columns["labels"]) == ("steps", steps, labels)
    assert row.columns["question"] == "p" and row.columns.get("answer") == record.get("answer")


def test_visualprm_is_read_whole(tmp_path: Path) -> None:
    source = write(
        tmp_path, [json.loads(line) for line in (CASES / "visualprm400k/train.jsonl").read_text().split("\n") if line]
    )
    (tmp_path / "images").mkdir()
    for number in range(4):
        (tmp_path / "images" / f"{number}.png").write_bytes(PNG)
    summary = Summary()
    assert rows(source, summary=summary)[0].columns["labels"] == [1.0, 0.25] and summary.bad == 0


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"prompt": "p", "completions": ["a"], "labels": []}, "give a label for each step"),
        ({"prompt": "p", "completions": ["a"], "labels": [2]}, r"labels must lie in \[0, 1\]"),
        ({"prompt": "p", "completions": ["a"], "labels": ["x"]}, "numbers or booleans"),
        ({"prompt": "p", "completions": [""], "labels": [1]}, "not empty"),
        ({"completions": ["a"], "labels": [1]}, "prompt is missing"),
        ({"prompt": "p", "steps": [{"step": "a"}]}, "a step has no score"),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "+"}]}, "turns are . and -"),
    ],
)
def test_bad_step_labels_are_named(tmp_path: Path, record: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidDataset, match=f"line 1: .*{said}"):
        import_source(write(tmp_path, [{"image": "0.png", **record}]), tmp_path / "set")


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
    assert [row.split for row in rows(source, Options(unlabelled=True))] == ["unlabelled", "train"]
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


def test_a_sample_of_a_shard_may_have_texts_and_several_pictures_as_members(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for member, data in (("0.0.png", PNG), ("0.1.png", OTHER), ("0.question.txt", b"q"), ("0.answer.txt", b"1")):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    (row,) = read_rows(tmp_path, Summary(), looks=TrustingLooks())
    assert (row.columns["question"], row.columns["answer"], row.images) == ("q", "1", (PNG, OTHER))


def test_a_table_may_separate_by_semicolons(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question;answer\nWhat, 1?;2,5\n")
    (row,) = read_rows(tmp_path / "a.csv", Summary(), looks=TrustingLooks())
    assert (row.columns["question"], row.columns["answer"]) == ("What, 1?", "2,5")


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
        ("a.jsonl", '{"question": "q", "answer": "12 m", "unit": "cm"}', "is in m, and unit says 'cm': mend one"),
        ("a.jsonl", '{"question": "q", "answer": "$5", "unit": "kg"}', "is in $, and unit says 'kg': mend one"),
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


def test_a_member_that_is_a_link_or_unpacks_to_much_costs_its_own_sample_only(tmp_path: Path) -> None:
    row = b'{"question": "q", "answer": 1}'
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        link = tarfile.TarInfo("0.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        for member, data in (("0.json", row), ("1.png", PNG), ("1.json", row)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("0.png", bytes(50 * 2**20))
        packed.writestr("0.json", row)
        packed.writestr("1.json", row)
    for archive, said in (("a.tar", "is a link, which is not followed"), ("b.zip", "is larger than 48 MiB")):
        found = Summary()
        assert len(list(read_rows(tmp_path / archive, found, looks=TrustingLooks()))) == 1
        assert found.bad == 1 and said in found.problems[0]


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
