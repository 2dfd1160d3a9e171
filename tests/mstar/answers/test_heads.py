"""Words in front of a value that name something the question does not ask for."""

import pytest

from mstar.answers import answer_of, check

SPEED = {"question": "What is the average speed of the car, in km/h?", "answer": 60}
AUTHOR = {"question": "Who is the author of the book?", "answer": "Leo Tolstoy"}
RECTANGLE = {"question": "What is the perimeter of the rectangle?", "answer": 24}
SUM = {"question": "What is the sum of the two smallest bars?", "answer": 19}
CURRENT = {"question": "What is the current through the 4 Ω resistor?", "answer": "1.5 A"}
RADIUS = {"question": "Find the radius of circle O.", "answer": "6 cm"}
VALUE = {"question": "What is the value of f(2)?", "answer": -5}
RATE = {"question": "What was the average growth rate between 2010 and 2014?", "answer": "2.6%"}
VOTES = {"question": "What was the rate of change? (Unit: votes per year)", "answer": -4}
POINTS = {"question": "By how many percentage points did support rise from May to June?", "answer": 8}
ABC = {"question": "Find the measure of ∠ABC.", "answer": 72}
MIDPOINT = {"question": "Find the coordinates of the midpoint M.", "answer": "(2, -1)"}
CITY = {"question": "What is the population of the city in thousands?", "answer": 450}
CUBES = {"question": "What number of other things are the same size as the yellow cube?", "answer": 3}

JULY = {"question": "What is the total number of visitors in July?", "answer": "3,250"}
LINE = {"question": "What is the y-intercept of the line?", "answer": "(0, -3)"}
SENDER = {"question": "What is the name of the sender?", "answer": "Anna Berg"}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (SPEED, "The speed is 60 km/h."), (SPEED, "The car's average speed is 60 km/h."), (SPEED, "The answer is 60"),
        (AUTHOR, "The writer is Leo Tolstoy."), (RECTANGLE, "The perimeter of the shape is 24."),
        (SUM, "The total is 19."), (CURRENT, "The current through the 4 Ω resistor is 1.5 A."), (RADIUS, "r = 6 cm"),
        (VALUE, "f(2) = -5"), (RATE, "The average growth rate between 2010 and 2014 was 2.6%."),
        (VOTES, "-4 votes per year"), (POINTS, "It rose by 8 points from May to June"), (ABC, "∠B = 72°"),
        (MIDPOINT, "M = (2, -1)"), (CITY, "450 thousand people"), (CUBES, "3 other things"),
        (JULY, "3,250 visitors"), (LINE, "The y-intercept is (0, -3)."), (SENDER, "The sender is Anna Berg."),
    ],
)  # fmt: skip
def test_words_of_the_question_and_for_the_same_thing_may_stand_before_a_value(
    record: dict[str, object], said: str
) -> None:
    assert check(f"## Answer\n\n{said}", answer_of(record), question=str(record["question"])).correct


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (SPEED, "The top speed is 60 km/h."), (SPEED, "The final speed is 60"),
        (AUTHOR, "The translator is Leo Tolstoy."),
        (AUTHOR, "The editor of the book is Leo Tolstoy."), (RECTANGLE, "The perimeter of the square is 24."),
        (SUM, "The difference of the two smallest bars is 19."), (RADIUS, "d = 6 cm"), (VALUE, "f(3) = -5"),
        (CURRENT, "The current through the 2 Ω resistor is 1.5 A."), (RATE, "The growth rate in 2014 was 2.6%."),
        (VOTES, "-4 votes per month"), (POINTS, "Support rose to 8%"), (ABC, "∠A = 72°"), (ABC, "72 radians"),
        (MIDPOINT, "A = (2, -1)"), (CITY, "450 houses"), (CUBES, "There are 3 yellow cubes."),
        (JULY, "3,250 cars"), (LINE, "The x-intercept is (0, -3)."), (SENDER, "The recipient is Anna Berg."),
    ],
)  # fmt: skip
def test_the_right_value_of_another_thing_is_another_answer(record: dict[str, object], said: str) -> None:
    assert not check(f"## Answer\n\n{said}", answer_of(record), question=str(record["question"])).correct
