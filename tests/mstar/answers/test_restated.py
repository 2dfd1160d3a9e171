"""Sentences that turn the question round."""

import pytest

from mstar.answers import answer_of, check

GREATER = {"question": "Is the value of Iceland greater than the sum of the others?", "answer": "No"}
CLAUSE = {"question": "Is the bar that is greater than 5 red?", "answer": "No"}
LINES = {"question": "Are the two lines parallel?", "answer": "No"}
SPORT = {"question": "What sport are they playing?", "answer": "tennis"}
DETERMINANT = {"question": "What is the determinant of A?", "answer": -14}
RATIO = {"question": "What is the ratio of boys to girls?", "answer": "3:4"}
GAP = {"question": "In which year was the gap the largest?", "answer": 2009}
FIRST = {"question": "Which event comes first?", "choices": ["The war began", "The king died"], "answer": "A"}
CAPITAL = {"question": "What is the capital of Maine?", "choices": ["Augusta", "Portland"], "answer": "A"}
EQUAL = {"question": "What is true of both lines?", "choices": ["They are equal", "They cross"], "answer": "A"}
VAN = {"question": "How many people can fit into the van?", "answer": 8}

LEAST = {"question": "Which month had the least rainfall?", "answer": "July"}
STOP = {"question": "What does the sign say?", "answer": "STOP"}


def right(record: dict[str, object], said: str) -> bool:
    return check(f"## Answer\n\n{said}", answer_of(record), question=str(record["question"])).correct


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (GREATER, "It is not greater"),
        (LINES, "They aren't parallel"),
        (SPORT, "They're playing tennis"),
        (DETERMINANT, "\\det A = -14"),
        (DETERMINANT, "$\\det(A) = -14$"),
        (DETERMINANT, "|A| = -14"),
        (RATIO, "Boys : girls = 3 : 4"),
        (GAP, "The gap was the largest in 2009."),
        (FIRST, "The war began first."),
        (CAPITAL, "Augusta, Maine"),
        (EQUAL, "Both lines are equal."),
        (VAN, "The van can fit 8 people."),
        (LEAST, "July, with the lowest rain"),
        (LEAST, "July has the shortest bar."),
        (LEAST, "In the chart, July"),
        (STOP, 'The text on the sign reads "STOP".'),
    ],
)
def test_a_sentence_of_the_questions_shape_gives_its_answer(record: dict[str, object], said: str) -> None:
    assert right(record, said)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (GREATER, "It is greater"),
        (GREATER, "It is not only greater"),
        (CLAUSE, "It is red"),
        (LINES, "They are parallel"),
        (SPORT, "They're playing table tennis"),
        (SPORT, "They aren't playing tennis"),
        (DETERMINANT, "\\det B = -14"),
        (DETERMINANT, "\\det A^{-1} = -14"),
        (DETERMINANT, "-\\det A = -14"),
        (RATIO, "girls : boys = 3 : 4"),
        (GAP, "The gap was the smallest in 2009."),
        (FIRST, "The war began last."),
        (CAPITAL, "Portland, Maine"),
        (EQUAL, "Both lines are not equal"),
        (VAN, "The van can fit 8 more people"),
        (VAN, "The van cannot fit 8 people"),
        (LEAST, "July, with the highest rain"),
        (LEAST, "July has the lowest temperature"),
        (LEAST, "In the other chart, July"),
        (STOP, "The text on the wall reads STOP"),
    ],
)
def test_another_sentence_does_not(record: dict[str, object], said: str) -> None:
    assert not right(record, said)
