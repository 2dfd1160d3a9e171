"""Exports in the layouts of trainers: their columns and types, images that decode, and the way back."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from mstar.errors import Conflict, InvalidDataset
from mstar.prompts import PRESETS, PromptPreset
from mstar_data.exporting import Origin, export
from mstar_data.importing import import_source
from mstar_data.layouts import LAYOUTS, fitting, layout
from mstar_data.rows import ReadOptions, read_rows
from mstar_data.samples import sample_folder, samples_of
from mstar_data.shards import write_shards
from mstar_data.summary import Summary

CASES = Path(__file__).parents[1] / "cases" / "formats"
PNG = (CASES / "imagefolder" / "train" / "0.png").read_bytes()
OTHER = (CASES / "imagefolder" / "train" / "1.png").read_bytes()
FORM = PRESETS[PromptPreset.MSTAR]
ORIGIN = Origin("Test rows", model="base", prompt="mstar", source="own", licence="mit")
RESPONSE = "Two bars\u2028are high.\n\n## Answer\n\n2"
COT: list[dict[str, Any]] = [
    {"file_name": "0.png", "question": "How many?", "answer": "2", "answer_type": "integer", "id": "a", "group": "FQA",
     "response": RESPONSE, "step_scores": [0.9, 0.8], "temperature": 0.7, "weight_version": "w1", "prm_version": "p1",
     "iteration": 1, "reward": 0.8},
    {"file_name": "1.png", "question": "Which?\nLook.", "answer": "B", "answer_type": "choice", "choices": ["B", "A"],
     "id": "b", "response": "It is A.\n\n## Answer\n\n(B)"},
    {"file_name": "0.png", "question": "How heavy?", "answer": "1.50", "answer_type": "float", "precision": 2,
     "unit": "kg", "id": "c", "response": "## Answer\n\n1.50 kg"},
    {"file_names": ["1.png", "0.png", "1.png"], "question": "Which two?", "answer": "3", "answer_type": "integer",
     "id": "d", "response": "First and last.\n\n## Answer\n\n3"},
    {"question": "What is 3 + 4?", "answer": "7", "answer_type": "integer", "id": "e",
     "response": "It is 7.\n\n## Answer\n\n7"},
]  # fmt: skip
STEPS: list[dict[str, Any]] = [
    {"file_name": "0.png", "prompt": "How many?", "id": "s1", "completions": ["One", "## Answer\n\n2"], "answer": "2",
     "answer_type": "integer", "labels": [0.9, 0.0], "weight_version": "w0"},
    {"file_name": "1.png", "prompt": "Why?", "id": "s2", "completions": ["So"], "labels": [1.0]},
    {"file_names": ["1.png", "0.png"], "prompt": "Both?", "id": "s3", "completions": ["Yes"], "labels": [0.5]},
    {"prompt": "What is 3 + 4?", "id": "s4", "completions": ["7"], "labels": [1.0]},
]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with its two data sets."""
    for name, rows in (("cot_dataset", COT), ("prm_dataset", STEPS)):
        folder = tmp_path / "run" / name
        folder.mkdir(parents=True)
        (folder / "0.png").write_bytes(PNG)
        (folder / "1.png").write_bytes(OTHER)
        (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "run"


def exported(run: Path, name: str, which: str, target: Path) -> Path:
    folder = sample_folder(run, which)
    export(samples_of(folder, FORM), fitting(layout(name), samples_of(folder, FORM)), target, ORIGIN)
    return target


def rows_of(folder: Path) -> list[dict[str, Any]]:
    if (folder / "train.json").is_file():
        return list(json.loads((folder / "train.json").read_text()))
    (path,) = (folder / "data").glob("*.parquet")
    return parquet.read_table(path).to_pylist()


KEPT = (
    "question", "answer", "answer_type", "choices", "precision", "unit", "id", "group", "response", "completions",
    "labels",
)  # fmt: skip


def back(folder: Path) -> list[tuple[dict[str, Any], tuple[bytes, ...]]]:
    summary = Summary()
    rows = [
        ({name: row.columns[name] for name in KEPT if name in row.columns}, row.images)
        for row in read_rows(folder, summary, ReadOptions(unlabelled=True))
    ]
    assert summary.problems == []
    return rows


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "trl-stepwise"])
def test_responses_come_back_as_they_were(run: Path, tmp_path: Path, name: str) -> None:
    before = back(run / "cot_dataset")
    assert before[0][0]["response"] == RESPONSE and before[1][0]["answer"] == "B"
    assert [images for _, images in before] == [(PNG,), (OTHER,), (PNG,), (OTHER, PNG, OTHER), ()]
    assert back(exported(run, name, "cot", tmp_path / "out")) == before


@pytest.mark.parametrize("name", ["trl-stepwise", "parquet", "ms-swift", "llama-factory"])
def test_labelled_steps_come_back_with_their_soft_labels(run: Path, tmp_path: Path, name: str) -> None:
    before = back(run / "prm_dataset")
    assert before[0][0]["labels"] == [0.9, 0.0]
    assert [images for _, images in before] == [(PNG,), (OTHER,), (OTHER, PNG), ()]
    assert back(exported(run, name, "prm", tmp_path / "out")) == before


def test_trl_gets_turns_images_and_booleans(run: Path, tmp_path: Path) -> None:
    first, *_ = rows_of(exported(run, "trl", "cot", tmp_path / "sft"))
    assert [turn["role"] for turn in first["prompt"]] == ["user"]
    assert first["prompt"][0]["content"].startswith("How many?\n\nReason step by step.")
    assert first["completion"] == [{"role": "assistant", "content": RESPONSE}]
    assert first["images"][0]["bytes"] == PNG
    steps = rows_of(exported(run, "trl-stepwise", "prm", tmp_path / "prm"))
    assert steps[0]["labels"] == [True, False] and steps[0]["soft_labels"] == [0.9, 0.0]
    assert all(type(label) is bool for row in steps for label in row["labels"])


@pytest.mark.parametrize("name", ["trl", "verl", "ms-swift", "llama-factory"])
@pytest.mark.parametrize("place", [False, True])
def test_trainers_count_as_many_marks_as_images(tmp_path: Path, name: str, place: bool) -> None:
    """One row with another number of them ends LLaMA-Factory, verl, and TRL with a processor that counts them."""
    rows: list[dict[str, Any]] = [
        {
            "file_name": "0.png",
            "question": "Are <image>, <image> and <video> tags?",
            "response": "An <image>, an <audio>.",
        },
        {"question": "What is <image>?", "response": "<image>"},
        *([{"file_names": ["0.png", "1.png"], "question": "Is <image> as <image>?", "response": "It is."}] * place),
    ]
    folder = tmp_path / "own" / "train"
    folder.mkdir(parents=True)
    (folder / "0.png").write_bytes(PNG)
    (folder / "1.png").write_bytes(OTHER)
    lines = [{"answer": "no", "answer_type": "text", "id": str(number)} | row for number, row in enumerate(rows)]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = rows_of(exported(tmp_path / "own", name, "cot", tmp_path / "out"))
    assert [row["response"] for row in found] == [row["response"] for row in rows], "own columns are the source's"
    for row, images in zip(found, (1, 0, 2), strict=False):
        turns = row.get("messages") or row["prompt"] + row.get("completion", [])
        marks = [json.dumps(turn).count("<image>") + json.dumps(turn).count('"image"') for turn in turns]
        assert sum(marks) == (0 if name == "trl" and not place else images)
        assert not {"<video>", "<audio>"} & set(json.dumps(turns).split())
    if name == "trl" and place:
        content = found[2]["prompt"][-1]["content"]
        assert [part["type"] for part in content][:4] == ["text", "image", "text", "image"]
        assert content[2]["text"] == " as " and found[1]["completion"][0]["content"][0]["text"] == "< image>"


def test_verl_gets_a_reward_to_check(run: Path, tmp_path: Path) -> None:
    _, second, *_ = rows_of(exported(run, "verl", "cot", tmp_path / "out"))
    assert second["reward_model"] == {"style": "rule", "ground_truth": "B"}
    assert second["prompt"][0]["content"].startswith("<image>Which?")
    told = second["extra_info"]
    assert told["question"] == second["question"] and told["choices"] == second["choices"], "all a reward function sees"
    with pytest.raises(InvalidDataset, match="verl needs one"):
        exported(run, "verl", "prm", tmp_path / "prm")


@pytest.mark.parametrize("name", ["ms-swift", "llama-factory"])
def test_messages_name_images_that_are_there(run: Path, tmp_path: Path, name: str) -> None:
    folder = exported(run, name, "cot", tmp_path / "out")
    rows = rows_of(folder)
    assert rows[0]["messages"][0]["content"].startswith("<image>How many?")
    shown = [(folder / path).read_bytes() for row in rows for path in row["images"]]
    assert shown == [PNG, OTHER, PNG, OTHER, PNG, OTHER]
    assert [row["messages"][0]["content"].count("<image>") for row in rows] == [1, 1, 1, 3, 0]
    assert len(list((folder / "images").iterdir())) == 2
    if name == "llama-factory":
        about = json.loads((folder / "dataset_info.json").read_text())["mstar"]
        assert about["file_name"] == "train.json" and about["tags"]["role_tag"] == "role"
    lines = (folder / "train.json").read_text().splitlines()
    assert len(lines) == 7, "five rows and two brackets: no other line break ends a line"
    assert sorted(path.name for path in folder.glob("*.json*")) == sorted(
        ["train.json", *(["dataset_info.json"] if name == "llama-factory" else [])]
    ), "not JSON lines: `datasets` refuses a column that the first 10 MB lack"


@pytest.mark.parametrize("name", ["trl", "trl-stepwise", "verl", "parquet"])
def test_images_are_declared_so_that_datasets_decodes_them(run: Path, tmp_path: Path, name: str) -> None:
    folder = exported(run, name, "prm" if name == "trl-stepwise" else "cot", tmp_path / "out")
    (path,) = (folder / "data").glob("train-00000-of-00001.parquet")
    declared = json.loads(parquet.read_schema(path).metadata[b"huggingface"])["info"]["features"]
    assert declared["images"] == {"feature": {"_type": "Image"}, "_type": "Sequence"}
    kind = parquet.read_schema(path).field("images").type.value_type
    assert {field.name: str(field.type) for field in kind} == {"bytes": "binary", "path": "string"}, (
        "otherwise `datasets` does not heed the declaration"
    )


def test_the_card_says_where_the_rows_come_from(run: Path, tmp_path: Path) -> None:
    card = (exported(run, "trl", "cot", tmp_path / "out") / "README.md").read_text()
    for words in (
        "license: mit",
        "base model: `base`",
        "prompt: `mstar`",
        "weight_version: w1 (1)",
        "prm_version: p1 (1)",
    ):
        assert words in card, words
    assert "1 rows have step" in card and "temperature: 0.7 (1)" in card


def test_an_imported_set_is_exported_too_and_bad_requests_leave_nothing(tmp_path: Path) -> None:
    import_source(CASES / "mathv360k", tmp_path / "set")
    rows = rows_of(exported(tmp_path / "set", "ms-swift", "cot", tmp_path / "out"))
    assert rows[0]["messages"][1]["content"] == "A" and rows[0]["split"] == "train"
    with pytest.raises(Conflict, match="exists already"):
        exported(tmp_path / "set", "ms-swift", "cot", tmp_path / "out")
    with pytest.raises(InvalidDataset, match="no labelled steps"):
        exported(tmp_path / "set", "trl-stepwise", "cot", tmp_path / "steps")
    with pytest.raises(InvalidDataset, match="use one of trl"):
        layout("alpaca")
    with pytest.raises(InvalidDataset, match="use cot or prm"):
        sample_folder(tmp_path / "set", "sft")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidDataset, match=r"has no metadata\.jsonl"):
        exported(tmp_path / "empty", "trl", "cot", tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "out", "set"]


def test_what_a_killed_export_left_under_the_same_process_number_is_no_hindrance(run: Path, tmp_path: Path) -> None:
    (tmp_path / f".out.exporting-{os.getpid()}").mkdir()
    assert rows_of(exported(run, "ms-swift", "cot", tmp_path / "out"))


@pytest.mark.parametrize("name", ["trl", "verl", "parquet"])
def test_shards_have_one_schema_whatever_columns_their_rows_lack(tmp_path: Path, name: str) -> None:
    """`datasets` refuses a set whose shards differ, as one with labels and one without did."""
    plain = {"question": "How many?", "answer": "7", "answer_type": "integer"}
    full = {
        **plain, "id": "a", "choices": ["7", "8"], "unit": "kg", "precision": 2, "group": "g", "answer_type": "float",
        "response": "It is 7.", "step_scores": [1], "temperature": 1, "iteration": 2, "reward": 1, "weight_version": 3,
        "completions": ["It is 7."], "labels": [1], "mc_successes": [1], "mc_rollouts": [2], "reason": None,
    }  # fmt: skip
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (plain, full, plain)))
    assert write_shards(tmp_path / "data", samples_of(tmp_path, FORM), layout(name), shard_bytes=1) == 0
    paths = sorted((tmp_path / "data").iterdir())
    assert [path.name for path in paths] == [f"train-0000{n}-of-00003.parquet" for n in range(3)]
    first, second, third = (parquet.read_schema(path) for path in paths)
    assert first.equals(second, check_metadata=True) and first.equals(third, check_metadata=True)
    assert not any(pyarrow.types.is_null(field.type) for field in first)
    (row,) = parquet.read_table(paths[1]).to_pylist()
    assert (row["step_scores"], row["temperature"], row["weight_version"]) == ([1.0], 1.0, "3")


@pytest.mark.parametrize("value", ["hot", [0.7], 2**70])
def test_a_value_of_another_type_than_its_column_is_named(tmp_path: Path, value: object) -> None:
    row = {"question": "How many?", "answer": "7", "answer_type": "integer", "iteration": value}
    (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(InvalidDataset, match="column iteration takes"):
        write_shards(tmp_path / "data", samples_of(tmp_path, FORM), layout("trl"))


@pytest.mark.parametrize("name", [one.name for one in LAYOUTS.values() if one.embedded])
def test_every_column_of_a_row_is_declared(run: Path, name: str) -> None:
    one = layout(name)
    for sample in samples_of(sample_folder(run, "prm" if one.labelled_steps else "cot"), FORM):
        assert set(one.row(sample, [])) <= set(one.columns)
