"""Answers in quotation marks or behind a label, and sentences about another thing than the one with the blank."""

import pytest

from mstar.answers import answer_of, check

SIGN = {"question": "What is written on the sign?", "answer": "NO PARKING"}
RANKS = {"question": "What is the ranking by population, from highest to lowest?", "answer": "China, India, USA"}
NAIL = {"question": "Move the ruler to measure the nail. The nail is about (_) inches long.", "answer": 3}
POINT = {"question": "What is the pressure at point B?", "answer": "150 kPa"}
TALLER = {"question": "Is Tom Hill the tallest?", "answer": "yes"}
NEED = {"question": "How much money does Pablo need to buy a hat and a ring?", "answer": "$30"}
SIDE = {"question": "Who is to the left of Ann Lee?", "answer": "Joe Biden"}


@pytest.mark.parametrize(
    ("record", "said", "right"),
    [
        (SIGN, 'The words "NO PARKING" are written on the sign.', True), (SIGN, 'The sign says "Parking".', False),
        (RANKS, "From highest to lowest: China, India, USA", True), (RANKS, "1. China\n2. India\n3. USA", True),
        (RANKS, "From lowest to highest: China, India, USA", False),
        (NAIL, "The nail is about 3 inches long.", True), (NAIL, "The ruler is about 3 inches long.", False),
        (POINT, "The pressure at point B is 150 kPa.", True), (POINT, "The pressure at point A is 150 kPa.", False),
        (TALLER, "Yes, Tom Hill is the tallest.", True), (TALLER, "Yes, Bob Ray is the tallest.", False),
        (NEED, "Pablo needs $30.", True), (NEED, "Pablo has $30.", False),
        (NEED, "Pablo needs $30 to buy a hat.", False),
        (SIDE, "The person to the left of Ann Lee is Joe Biden.", True),
        (SIDE, "Ann Lee is to the left of Joe Biden.", False),
    ],
)  # fmt: skip
def test_what_is_set_off_counts_where_the_rest_is_the_question(
    record: dict[str, object], said: str, right: bool
) -> None:
    assert check(f"## Answer\n\n{said}", answer_of(record), question=str(record["question"])).correct is right
