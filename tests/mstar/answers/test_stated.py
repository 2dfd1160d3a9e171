"""Sentences that are made of the question's words and one value, in any order that says the same."""

import pytest

from mstar.answers import answer_of, check

MASS = {"question": "What is the mass of the block?", "answer": "2.5 kg"}
FORCE = {"question": "What force must be applied to move the block?", "answer": "20 N"}
RAIN = {"question": "What is the chance of rain on Tuesday?", "answer": "40%"}
CARS = {"question": "What is the total number of cars sold in 2019 and 2020?", "answer": 1350}
LEFT = {"question": "Subtract all cyan things. How many objects are left?", "answer": 4}
SHOP = {"question": "When does the shop open on Sundays?", "answer": "10 a.m."}
LINES = {"question": "At what point do the lines intersect?", "answer": "(1.5, 4)"}
FRUIT = {"question": "¿Cuántas manzanas hay en la imagen?", "answer": 7}
FOX = {"question": "图中哪种动物是捕食者？", "choices": ["兔子", "狐狸"], "answer": "B"}
MEAN = {"question": "Wie hoch ist der Durchschnitt der Temperaturen?", "answer": "12,5"}


@pytest.mark.parametrize(
    ("record", "said", "right"),
    [
        (MASS, "The block has a mass of 2.5 kg.", True), (MASS, "The cart has a mass of 2.5 kg.", False),
        (FORCE, "A force of 20 N must be applied.", True), (FORCE, "A force of 20 N is exerted by the floor.", False),
        (RAIN, "There is a 40% chance of rain.", True), (RAIN, "There is a 40% chance of snow.", False),
        (CARS, "A total of 1,350 cars were sold in 2019 and 2020.", True),
        (CARS, "1350 cars were sold in 2020.", False),
        (LEFT, "After subtracting, 4 objects are left.", True), (LEFT, "4 objects are removed.", False),
        (SHOP, "The shop opens at 10 a.m. on Sundays.", True), (SHOP, "The shop closes at 10 a.m. on Sundays.", False),
        (LINES, "They intersect at the point (1.5, 4).", True), (LINES, "They do not intersect at (1.5, 4).", False),
        (FRUIT, "Hay 7 manzanas en la imagen.", True), (FRUIT, "Hay 7 peras.", False),
        (FOX, "图中的捕食者是狐狸。", True), (FOX, "不是狐狸", False), (FOX, "图中的捕食者是兔子。", False),
        (MEAN, "12.5", True), (MEAN, "Der Durchschnitt beträgt 12,5.", True), (MEAN, "12.500", False),
    ],
)  # fmt: skip
def test_the_one_value_of_a_sentence_in_the_words_of_the_question_counts(
    record: dict[str, object], said: str, right: bool
) -> None:
    assert check(f"## Answer\n\n{said}", answer_of(record), question=str(record["question"])).correct is right
