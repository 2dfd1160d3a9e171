"""Solutions with labelled steps, in every shape in which they are published."""

import json
from pathlib import Path
from typing import Any

import pytest

from mstar.errors import InvalidDataset
from mstar_data.importing import import_source
from mstar_data.summary import Summary
from source_bench import CASES, PNG, rows, write

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
