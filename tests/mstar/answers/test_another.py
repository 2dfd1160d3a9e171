"""The right value of another thing than the one that is asked for."""

import pytest

from mstar.answers import answer_of, check

TALLEST = {"question": "How high is the tallest bar?", "answer": 87}
PERIMETER = {"question": "Find the perimeter of the rectangle.", "answer": 34}
SIDE = {"question": "Find the length of AC.", "answer": "7.2"}
K = {"question": "Find the value of k for which the lines are parallel.", "answer": -2}
RED = {"question": "What is the probability that the ball is red?", "answer": "2/5"}
BOTH = {"question": "What is the largest angle of the triangle with smallest side 3?", "answer": 90}
LIKED = {"question": "How many objects are preferred by less than 7 people?", "answer": 2}
SPENT = {"question": "How much more did John spend than Mary?", "answer": "$12.40"}
MICE = {
    "question": "If the number of snakes decreases, the number of mice will",
    "choices": ["increase", "decrease"],
    "answer": "A",
}
WATER = {
    "question": "If the temperature of the water rises, the density of the water will",
    "choices": ["rise", "fall"],
    "answer": "B",
}
YEAR = {"question": "In what year did exports exceed imports?", "answer": 1998}
COAL = {"question": "What is the share of coal in percent?", "answer": "15%"}
BOYS = {"question": "What is the ratio of boys to girls?", "answer": "2:3"}
EUROPE = {"question": "What is the color of the line for Europe?", "answer": "blue"}
HYPOTENUSE = {"question": "With AB = 3 and BC = 4, find the length of AC.", "answer": 5}
ANGLE = {"question": "Find the measure of angle ABC.", "answer": 65}
FIRST = {"question": "As shown, $\\angle 2 = 130^\\circ$. What is the degree of $\\angle 1$?", "answer": 50}
MEASURE = {"question": "Find m∠AOB.", "answer": 130}
POINT = {"question": "What are the coordinates of point B?", "answer": "(4, 3)"}
DERIVATIVE = {"question": "Find the derivative of $f(x) = 3x^2$.", "answer": "6x", "answer_type": "math"}
DUE = {"question": "What is the total amount due?", "answer": "$12.50"}
RABBITS = {
    "question": "What would happen to the population of rabbits if the foxes were removed?",
    "choices": ["decrease", "increase"],
    "answer": "B",
}
LARGEST = {"question": "Is the red bar the largest?", "answer": "No"}


def right(record: dict[str, object], said: str) -> bool:
    return check(f"## Answer\n\n{said}", answer_of(record), question=str(record["question"])).correct


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (TALLEST, "The tallest bar is 87"),
        (TALLEST, "The highest bar is 87"),
        (PERIMETER, "Perimeter = 34"),
        (SIDE, "AC = 7.2"),
        (SIDE, "CA = 7.2"),
        (SIDE, "x = 7.2"),
        (K, "k = -2"),
        (RED, "P(red) = 2/5"),
        (RED, "P = 2/5"),
        (BOTH, "The largest angle is 90"),
        (LIKED, "2 objects"),
        (SPENT, "John spent $12.40 more than Mary."),
        (MICE, "The number of mice will increase"),
        (WATER, "The density of the water will fall"),
        (YEAR, "Exports exceeded imports in 1998."),
        (LARGEST, "No, it is the smallest."),
        (PERIMETER, "P = 34 cm"),
        (COAL, "The share of coal is 15%."),
        (BOYS, "The ratio of boys to girls is 2:3."),
        (EUROPE, "The line for Europe is blue."),
        (HYPOTENUSE, "In triangle ABC, AC = 5"),
        (ANGLE, "∠CBA = 65°"),
        (FIRST, "$\\angle 1 = \\angle 3 = 50^\\circ$"),
        (POINT, "B(4, 3)"),
        (MEASURE, "m∠BOA = 130°"),
        (DERIVATIVE, "f'(x) = 6x"),
        (DUE, "The total due is $12.50."),
        (RABBITS, "The population of rabbits will increase."),
    ],
)
def test_a_sentence_about_what_is_asked_counts(record: dict[str, object], said: str) -> None:
    assert right(record, said)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (TALLEST, "The shortest bar is 87"),
        (PERIMETER, "Area = 34"),
        (SIDE, "AB = 7.2"),
        (SIDE, "The length of AB is 7.2"),
        (K, "m = -2"),
        (RED, "P(blue) = 2/5"),
        (BOTH, "The smallest angle is 90"),
        (LIKED, "2 people"),
        (SPENT, "John spent $12.40"),
        (SPENT, "Mary spent $12.40 more than John."),
        (MICE, "The number of snakes will increase"),
        (WATER, "The temperature of the water will fall"),
        (YEAR, "Imports exceeded exports in 1998."),
        (LARGEST, "It is the largest"),
        (PERIMETER, "A = 34 cm"),
        (COAL, "The share of gas is 15%."),
        (BOYS, "The ratio of girls to boys is 2:3."),
        (EUROPE, "The line for Asia is blue."),
        (HYPOTENUSE, "BC = 5"),
        (ANGLE, "∠BAC = 65°"),
        (FIRST, "$\\angle 2 = 50^\\circ$"),
        (POINT, "A(4, 3)"),
        (MEASURE, "m∠BOC = 130°"),
        (DERIVATIVE, "f(x) = 6x"),
        (DUE, "The tax due is $12.50."),
        (RABBITS, "The population of foxes will increase."),
    ],
)
def test_the_value_of_another_thing_does_not_count(record: dict[str, object], said: str) -> None:
    assert not right(record, said)
