"""Answers in sentences that say the question again."""

import pytest

from mstar.answers import answer_of, check


def judged(question: str, gold: object, said: str, choices: tuple[str, ...] = ()) -> bool:
    answer = answer_of({"answer": gold, "choices": list(choices)})
    return check(f"## Answer\n\n{said}", answer, question=question).correct


@pytest.mark.parametrize(
    ("question", "gold", "said"),
    [
        ("How much money does Ava need to buy 3 kg?", "$5.70", "Ava needs $5.70."),
        ("What time does the train leave?", "8:45 A.M.", "The train leaves at 8:45 A.M."),
        ("Natalia sold clips to 48 friends. How many clips did Natalia sell?", "72", "Natalia sold 72 clips."),
        ("Where is he looking?", "down", "He is looking down."),
        ("What is the probability of red?", "\\frac{2}{7}", "The probability of red is \\(\\frac{2}{7}\\)."),
    ],
)
def test_the_answer_counts_behind_the_verb(question: str, gold: str, said: str) -> None:
    assert judged(question, gold, said)
    assert not check(f"## Answer\n\n{said}", answer_of({"answer": f"not {gold}"}), question=question).correct


def test_an_option_counts_before_words_of_the_question() -> None:
    shops = ("Ann's Market", "Ben's Market", "City Store")
    asked = "Which shop has the lowest price?"
    assert judged(asked, "City Store", "City Store has the lowest price.", shops)
    assert not judged(asked, "City Store", "Ben's Market has the lowest price.", shops)


@pytest.mark.parametrize(
    "said",
    [
        "City Store has the highest price.",
        "City Store never has the lowest price.",
        "Neither City Store has the lowest price.",
        "Ann's Market or City Store has the lowest price.",
    ],
)
def test_a_sentence_that_says_anything_else_is_left_whole(said: str) -> None:
    shops = ("Ann's Market", "Ben's Market", "City Store")
    assert not judged("Which shop has the lowest price?", "City Store", said, shops)


@pytest.mark.parametrize(
    "said",
    ["The total is more than 42.", "Half of the total is 42.", "Ava has 42 and Bob has 3.", "The bar is 42 less."],
)
def test_no_number_is_taken_out_of_a_comparison(said: str) -> None:
    assert not judged("What is half of the total more than the bar that Ava has?", "42", said)


def test_a_part_of_the_answer_is_not_taken_for_the_question() -> None:
    assert not judged("Which colour is the light bar?", "blue", "The bar is light blue.")


@pytest.mark.parametrize(
    ("question", "gold", "said", "right"),
    [
        ("How many more apples than oranges?", 12, "12 more", True),
        ("How many more apples than oranges?", 12, "There are 12 more apples than oranges.", True),
        ("How many more apples than oranges?", 12, "12 more oranges than apples", False),
        ("How many more apples than oranges?", 12, "12 fewer", False),
        ("How many bars are taller than 40?", 3, "There are 3 bars taller than 40.", True),
        ("How many bars are taller than 40?", 3, "There are 3 bars not taller than 40.", False),
        ("What is the zip code?", "02139", "zip code 02139", True),
        ("What is the year after the war?", "1946", "the year after 1946", False),
    ],
)
def test_what_is_counted_or_called_stands_in_the_words_of_the_question(
    question: str, gold: object, said: str, right: bool
) -> None:
    assert judged(question, gold, said) is right


def test_two_things_count_in_any_order_unless_the_question_asks_for_one() -> None:
    assert judged("What are the two colors?", "blue and orange", "Orange, blue")
    assert not judged("What are the two colors?", "blue and orange", "orange and red")
    assert not judged("Which color is first and which is last?", "blue and orange", "orange and blue")
