"""Records in the columns and turns of published sets that no other test reads."""

import json
from pathlib import Path
from typing import Any

import pytest

from mstar_data.rows import read_rows
from mstar_data.summary import Summary
from small_png import small_png
from trusting_looks import TrustingLooks

PEOPLE = [{"answer": "lots", "answer_confidence": "yes", "answer_id": person} for person in range(1, 11)]
STAGES = "<SUMMARY> I look. </SUMMARY>\n\n<REASONING> It is far. </REASONING>\n\n<CONCLUSION> {} </CONCLUSION>"
CAULDRON = "Question: What do plants give out?\nChoices:\nA. Oxygen\nB. Carbon dioxide\nAnswer with the letter."


@pytest.mark.parametrize(
    ("record", "question", "answer"),
    [
        ({"question": "How many?", "answer_type": "number", "answers": PEOPLE}, "How many?", "lots"),
        ({"question": "q", "answer_type": "unanswerable", "answers": ["unanswerable"]}, "q", "unanswerable"),
        ({"question": "q", "question_type": "open", "options": "[]", "answer": "['12', 'twelve']"}, "q", "12"),
        ({"texts": [{"user": CAULDRON, "assistant": "Answer: B", "source": "AI2D"}]}, "What do plants give out?", "B"),
        (
            {"conversations": [{"from": "human", "value": "How?"}, {"from": "gpt", "value": STAGES.format("12")}]},
            "How?",
            "12",
        ),
        (
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "<answer>7</answer>"}]},
            "q",
            "7",
        ),
    ],
)
def test_question_and_answer_are_found(tmp_path: Path, record: dict[str, Any], question: str, answer: str) -> None:
    (tmp_path / "0.png").write_bytes(small_png(0))
    (tmp_path / "a.jsonl").write_text(json.dumps({"image": "0.png", **record}) + "\n")
    summary = Summary()
    (row,) = read_rows(tmp_path, summary, looks=TrustingLooks())
    assert (row.columns["question"], row.columns["answer"], summary.problems) == (question, answer, [])


def test_a_request_behind_the_options_is_no_part_of_the_last_one(tmp_path: Path) -> None:
    said = [{"user": CAULDRON, "assistant": "Answer: B"}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"texts": said}) + "\n")
    (row,) = read_rows(tmp_path, Summary(), looks=TrustingLooks())
    assert row.columns["choices"] == ["Oxygen", "Carbon dioxide"]
