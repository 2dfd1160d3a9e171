"""Mapping files: columns, types, splits and filters of sets whose columns no reader knows."""

import json
from pathlib import Path

import pytest

from mstar.errors import InvalidInput
from mstar_data.importing import import_source, options_of
from mstar_data.mapping import Condition
from mstar_data.mapping import Mapping as Columns
from mstar_data.rows import ReadOptions
from mstar_data.summary import Summary
from source_bench import rows, write


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
    assert {row.split for row in rows(source, ReadOptions(shares={"train": 0.5, "maps": 0.5}))} == {"train", "maps"}
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
        ("filters: [{column: a, matches: '('}]", "not a supported regular expression"),
        ("filters: [{column: a, matches: '(?=a)'}]", "not a supported regular expression"),
        ("filters: [{column: a, matches: '((x{500}){500}){500}'}]", "not a supported regular expression"),
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
    rows(source, ReadOptions(mapping=Columns(columns={"question": "ask"})), summary)
    assert "line 1: the mapping's column 'ask' for question is not there" in summary.problems[0]
