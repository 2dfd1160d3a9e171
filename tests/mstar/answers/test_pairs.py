"""The answer check on the labelled pairs of `pairs.jsonl`, through the command that users have."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mstar.cli.main import app

PAIRS = Path(__file__).with_name("pairs.jsonl")


def judged(*arguments: str) -> list[str]:
    result = CliRunner().invoke(app, ["judge", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_no_wrong_answer_is_accepted_and_few_right_ones_are_refused() -> None:
    *verdicts, last = judged(str(PAIRS))
    pairs, accepts, rejects = map(int, re.findall(r"\d+", last))
    assert pairs == len(verdicts) >= 1000
    assert accepts == 0
    assert rejects <= 0.01 * pairs


def test_without_headings_nothing_counts_in_training(tmp_path: Path) -> None:
    file = tmp_path / "one.jsonl"
    file.write_text(json.dumps({"record": {"answer": 12}, "response": "The answer is 12."}) + "\n")
    assert json.loads(judged(str(file))[0])["correct"] is True
    verdict = json.loads(judged(str(file), "--headings-only")[0])
    assert (verdict["correct"], verdict["reason"]) == (False, "no-answer-heading")


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"question": "q"}, "the answer is missing"),
        ({"answer": "E", "choices": ["a", "b"]}, "none of the 2 options"),
        ({"answer": "x", "answer_type": "vector"}, "answer_type 'vector' is unknown"),
        ({"answer": "many", "answer_type": "integer"}, "is not a number"),
        ({"answer": "1.5", "answer_type": "integer"}, "is not an integer"),
        ({"answer": "1", "precision": 40}, "precision 40"),
        ({"answer": {"a": 1}}, "must be a text"),
        ({"answer": " "}, "answer is empty"),
        ({"answer": "1", "choices": "abc"}, "choices must be a list"),
    ],
)
def test_a_bad_record_is_named_and_the_rest_is_judged(tmp_path: Path, record: dict[str, object], said: str) -> None:
    file = tmp_path / "two.jsonl"
    good = {"record": {"answer": 1}, "response": "## Answer\n\n1"}
    file.write_text("\n".join(json.dumps(one) for one in ({"record": record, "response": "x"}, good)))
    first, second = map(json.loads, judged(str(file)))
    assert said in first["reason"]
    assert second["correct"] is True
