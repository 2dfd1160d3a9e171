"""Reference answers and options in the columns of published sets."""

from typing import Any

import pytest

from mstar.answers import answer_of
from mstar.answers.options import options_in, options_of
from mstar.types import AnswerType


@pytest.mark.parametrize(
    ("record", "kind", "value"),
    [
        ({"label": ["74.13"]}, AnswerType.FLOAT, "74.13"),
        ({"answers": ["nokia", "toshiba", "Nokia"]}, AnswerType.TEXT, "nokia"),
        ({"answers": [{"answer": "2"}, {"answer": "3"}, {"answer": "3"}]}, AnswerType.INTEGER, "3"),
        ({"multiple_choice_answer": "down", "answer_type": "other"}, AnswerType.TEXT, "down"),
        ({"final_answer": ["(3,4)"], "answer_type": "Tuple"}, AnswerType.MATH, "(3,4)"),
        ({"final_answer": ["$2$", "$-3$"], "answer_type": "Numerical"}, AnswerType.MATH, "\\{2, -3\\}"),
        ({"choices": ["bus", "cab"], "correct_choice_idx": 1}, AnswerType.CHOICE, "B"),
        ({"answer": "15π"}, AnswerType.MATH, "15π"),
        ({"answer": ["7"], "answer_type": "list"}, AnswerType.LIST, "7"),
    ],
)
def test_the_columns_of_published_sets_are_read(record: dict[str, Any], kind: AnswerType, value: str) -> None:
    answer = answer_of(record)
    assert (answer.type, answer.value) == (kind, value)


@pytest.mark.parametrize(
    "record",
    [
        {"choice_a": "One", "choice_b": "Two", "answer": "B"},
        {"option": "A. One; B. Two", "answer": "B"},
        {"A": "One", "B": "Two", "C": "nan", "answer": "B"},
    ],
)
def test_options_of_one_column_each_and_of_one_text_are_read(record: dict[str, Any]) -> None:
    assert options_of(record).texts == ("One", "Two")
    assert answer_of(record).value == "B"


@pytest.mark.parametrize(
    "listed", ["Choices:\nA:2\nB:2√2", "Choices:\n(A) 2\n(B) 2√2", "Options: A: 2, B: 2√2", "Options:\nA. 2\nB. 2√2"]
)
def test_options_at_the_end_of_a_question_are_taken_apart(listed: str) -> None:
    assert options_in(f"How long is it?\n{listed}") == ("How long is it?", ["2", "2√2"])


@pytest.mark.parametrize("question", ["How long is it?", "Options:\nA. Lincoln was born when?", "Who?\nChoices: many"])
def test_a_question_without_options_stays(question: str) -> None:
    assert options_in(question) == (question, [])
