"""Answers beside figures, a place in the picture, and the kind of thing that is asked for."""

import pytest

from mstar.answers import answer_of, check

COUNTRY = {"question": "Which country had the second highest value?", "answer": "France"}
PAGE = {"question": "What is the page number?", "answer": 17}
TENS = {"question": "How many tens are in 340?", "answer": 34}
MILLIONS = {"question": "How many million people live there?", "answer": 36.7}
SHARE = {"question": "What percent of the students chose art?", "answer": 12.5}
WON = {"question": "What is the total number of medals won by Kenya?", "answer": 113}
ANIMAL = {"question": "What animal is in the picture?", "answer": "elephant"}
DATED = {"question": "What is the date?", "answer": "11/18/1998"}
SIGNED = {"question": "Who signed it?", "answer": "Dr. Jane Doe"}


def right(record: dict[str, object], said: str) -> bool:
    return check(f"## Answer\n\n{said}", answer_of(record), question=str(record["question"])).correct


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (COUNTRY, "France (23.4%)"),
        (COUNTRY, "It was France, with 23.4%."),
        (COUNTRY, "France, with 34 points"),
        (COUNTRY, "the second bar, France"),
        ({"question": "Who?", "answer": "Prof. Maria Silva"}, "Professor Maria Silva"),
        ({"question": "Which stages?", "answer": "egg, larva, pupa, adult"}, "egg, larva, pupa and adult"),
        ({"question": "Which stages?", "answer": "egg, larva, pupa, adult"}, "egg → larva → pupa → adult"),
        (COUNTRY, "the country of France"),
        (PAGE, "Page 17"),
        (PAGE, "p. 17"),
        (TENS, "34 tens"),
        (MILLIONS, "36,700,000 people"),
        (MILLIONS, "36.7M"),
        (SIGNED, "Jane Doe"),
        (SHARE, "12.5% of the students"),
        (WON, "Kenya won 113 medals."),
        (WON, "a total of 113 medals"),
        (ANIMAL, "There is an elephant in the picture."),
        (DATED, "November 18, 1998"),
    ],
)
def test_what_supports_an_answer_is_taken_off(record: dict[str, object], said: str) -> None:
    assert right(record, said)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (COUNTRY, "the United Kingdom, France"),
        (COUNTRY, "not France (23.4%)"),
        (COUNTRY, "the capital of France"),
        (PAGE, "17 pages"),
        (TENS, "340"),
        (TENS, "34 hundreds"),
        (MILLIONS, "36.7 thousand"),
        (SIGNED, "Mr. Jane Doe"),
        (SIGNED, "Doe"),
        (SHARE, "12.5 students"),
        (WON, "Kenya won 113 more medals"),
        (ANIMAL, "There is no elephant in the picture."),
        (ANIMAL, "There is an elephant and a dog in the picture."),
        ({"question": "What is the date?", "answer": "1/2/1998"}, "January 2, 1998"),
        ({"question": "What is the population?", "answer": 3}, "3 hundreds"),
        ({"question": "What is the population?", "answer": 200}, "two hundred forty"),
        ({"question": "What is the population?", "answer": 3000}, "3 thousand twelve"),
    ],
)
def test_what_may_be_another_answer_stays(record: dict[str, object], said: str) -> None:
    assert not right(record, said)
