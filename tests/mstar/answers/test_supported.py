"""Sentences that say a figure, a role, a country or a unit more than was asked for."""

import pytest

from mstar.answers import answer_of, check

PEAK = {"question": "In which year did revenue peak?", "answer": 2016}
SHARE = {"question": "Which country had the highest share of renewable energy in 2018?", "answer": "Sweden"}
AUTHOR = {"question": "Who is the author of the book?", "answer": "Leo Tolstoy"}
MEMO = {"question": "Who signed the memo?", "answer": "Karen Mills"}
TOWN = {"question": "Which town is shown on the postcard?", "answer": "Reims"}
FORCE = {"question": "What force must be applied?", "answer": "20 N to the left"}
FAST = {"question": "What is the speed of the spaceship?", "answer": "0.80c"}
SECTOR = {"question": "Find the central angle of the sector.", "answer": "\\frac{\\pi}{3}"}
RADIANS = {"question": "Find the central angle of the sector in radians.", "answer": "\\frac{\\pi}{3}"}
RATIO = {"question": "Find the ratio of the area of triangle ADE to that of triangle ABC.", "answer": "\\frac{1}{4}"}
EARNED = {"question": "How much did the company earn in 2012?", "answer": "3.4 million"}
PRICE = {"question": "What is the total amount payable?", "answer": "Rs. 4,520"}
LEAST = {"question": "Is Dark Orange the minimum?", "answer": "No"}
MOST = {"question": "Does Medium Mint have the maximum area under the curve?", "answer": "Yes"}
AIR = {"question": "How many seconds does the ball stay in the air?", "answer": "2.5"}
OWLS = {
    "question": "What would happen to the owl population if the mice decreased?",
    "choices": ["It would stay the same", "It would increase", "It would decrease"],
    "answer": "C",
}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (PEAK, "Revenue peaked in 2016, at 45 million dollars."), (SHARE, "Sweden had the highest share, at 54.6%."),
        (SHARE, "In 2018, Sweden had the highest share of renewable energy (54.6%)."), (AUTHOR, "by Leo Tolstoy"),
        (AUTHOR, "Leo Tolstoy wrote the book."), (AUTHOR, "The book was written by Leo Tolstoy."),
        (MEMO, "Karen Mills, Director of Sales"), (TOWN, "Reims, France"), (TOWN, "Reims (France)"),
        (FORCE, "20 newtons to the left"), (FORCE, "20 N left"), (FAST, "0.80c"), (FAST, "v = 0.8c"), (SECTOR, "60°"),
        (RATIO, "S_{ADE}/S_{ABC} = 1/4"), (RATIO, "1:4"), (EARNED, "The company earned 3.4 million in 2012."),
        (RATIO, "$\\frac{S_{\\triangle ADE}}{S_{\\triangle ABC}} = \\frac{1}{4}$"), (PRICE, "₹4,520"),
        (PRICE, "Rs. 4,520/-"), (LEAST, "Dark Orange is not the minimum."),
        (MOST, "Medium Mint has the maximum area under the curve."), (OWLS, "The owl population would decrease."),
        (AIR, "The ball stays in the air for 2.5 seconds."),
    ],
)  # fmt: skip
def test_what_is_said_more_is_passed_over(record: dict[str, object], said: str) -> None:
    assert check(f"## Answer\n\n{said}", answer_of(record), question=str(record["question"])).correct


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (PEAK, "Revenue peaked after 2016."), (SHARE, "Sweden had the lowest share, at 54.6%."),
        (SHARE, "Finland, followed by Sweden"), (AUTHOR, "translated by Leo Tolstoy"), (TOWN, "Paris, France"),
        (AUTHOR, "Leo Tolstoy edited the book."), (MEMO, "Karen Miller, Director of Sales"), 
        (FORCE, "20 N to the right"),
        (FORCE, "2 N to the left"), (FAST, "0.08c"), (FAST, "0.80"), (SECTOR, "30°"), (SECTOR, "60"), (RADIANS, "60°"),
        (SECTOR, "$\\frac{\\pi}{3}$ degrees"), (RATIO, "S_{ABC}/S_{ADE} = 1/4"), (RATIO, "4:1"),
        (RATIO, "S_{ADE}/S_{BCED} = 1/4"), (EARNED, "The company earned 3.4 million in 2013."), (PRICE, "$4,520"),
        (LEAST, "Dark Orange is the minimum."), (MOST, "Medium Mint does not have the maximum area under the curve."),
        (OWLS, "(A) It would decrease"), (AIR, "It reaches its maximum height after 2.5 seconds."),
    ],
)  # fmt: skip
def test_another_fact_is_another_answer(record: dict[str, object], said: str) -> None:
    assert not check(f"## Answer\n\n{said}", answer_of(record), question=str(record["question"])).correct
