"""Shared values: frozen, closed, and the same after JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from example_rows import question, rollout
from mstar.types import Question, RolloutRow, StepLabelRow, StepScores


def test_values_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        question().text = "another"  # type: ignore[misc]


def test_unknown_keys_and_bad_hashes_are_refused() -> None:
    values = question().model_dump()
    with pytest.raises(ValidationError, match="difficulty"):
        Question.model_validate(values | {"difficulty": 3})
    with pytest.raises(ValidationError, match="image"):
        Question.model_validate(values | {"image": "http://example.org/a.png"})


@given(st.lists(st.tuples(st.booleans(), st.text(max_size=20)), max_size=4))
def test_rows_survive_json(responses: list[tuple[bool, str]]) -> None:
    row = rollout([right for right, _ in responses], texts=[text for _, text in responses])
    assert RolloutRow.model_validate_json(row.model_dump_json()) == row


def test_step_scores_are_rounded() -> None:
    assert StepScores(index=0, steps=("a", "b"), scores=(0.9, 0.20004)).scores == (0.9, 0.2)


@pytest.mark.parametrize("kind", [Question, StepLabelRow])
def test_rows_of_before_several_images_are_read(kind: type[Question] | type[StepLabelRow]) -> None:
    common = {"id": "q", "answer": None}
    solution: dict[str, object] = {"prompt": "How many?", "completions": [], "labels": [], "weight_version": ""}
    own = {"text": "How many?"} if kind is Question else solution | {"mc_successes": [], "mc_rollouts": []}
    row = kind.model_validate_json(json.dumps(common | own | {"image": "a" * 64}))
    assert row.images == ("a" * 64,)
    assert kind.model_validate_json(row.model_dump_json()) == row


def test_a_question_has_at_most_eight_images() -> None:
    assert Question(id="q", text="?", images=("a" * 64,) * 8).images == ("a" * 64,) * 8
    with pytest.raises(ValidationError, match="at most 8"):
        Question(id="q", text="?", images=("a" * 64,) * 9)
