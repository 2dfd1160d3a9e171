"""Reference answers and options in the columns of published sets."""

from typing import Any

import pytest

from mstar.answers import answer_of, check
from mstar.answers.options import options_in, options_of
from mstar.answers.records import columns_of
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


@pytest.mark.parametrize(
    ("record", "others", "right", "wrong"),
    [
        ({"answers": ["P. Carter", "Carter"]}, ("Carter",), ("P. Carter", "carter"), ("P.", "Carter or Smith")),
        ({"answers": ["$2,350", "2350 dollars"]}, ("2350 dollars",), ("2350", "$2,350"), ("€2,350", "2,350 kg")),
        ({"answers": ["2,350", "$2,350"]}, ("$2,350",), ("2350", "$2,350"), ("€2,350",)),
        ({"answer": "['4', 'four apples']", "question_type": "open"}, ("four apples",), ("4", "four apples"), ("5",)),
        ({"answers": ["nokia", "nokia", "toshiba"]}, (), ("nokia",), ("toshiba",)),
        ({"answers": ["red", "blue", "red", "red", "black", "blue"]}, (), ("red",), ("blue",)),
        ({"answer": "Rio", "alternatives": ["Rio de Janeiro"]}, ("Rio de Janeiro",), ("Rio de Janeiro",), ("Janeiro",)),
        ({"answer": "Rio", "choices": ["Rio", "Ulm"], "alternatives": ["Ulm"]}, (), ("Rio",), ("Ulm",)),
    ],
)  # fmt: skip
def test_each_of_several_references_is_right(
    record: dict[str, Any], others: tuple[str, ...], right: tuple[str, ...], wrong: tuple[str, ...]
) -> None:
    answer = answer_of(record)
    assert answer.alternatives == others
    assert [said for said in right if not check(f"## Answer\n\n{said}", answer).correct] == []
    assert [said for said in wrong if check(f"## Answer\n\n{said}", answer).correct] == []
    assert answer_of(columns_of(answer)) == answer
