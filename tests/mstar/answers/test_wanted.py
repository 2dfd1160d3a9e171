"""Numbers of another noun, unit or scale than the question asks for."""

import pytest

from mstar.answers import answer_of, check


def judged(question: str, gold: object, said: str) -> bool:
    return check(f"## Answer\n\n{said}", answer_of({"answer": gold}), question=question).correct


@pytest.mark.parametrize(
    ("question", "gold", "right", "wrong"),
    [
        ("How many dogs are there?", 2, ("2 dogs", "There are 2 dogs.", "2 objects"), ("2 cats", "2%", "2nd")),
        ("How many red cubes are left of the ball?", 5, ("5 cubes", "5 red cubes"), ("5 blue cubes", "5 red balls")),
        ("What is the angle, in degrees?", 45, ("45°", "45 degrees", "45"), ("45 radians", "45 minutes")),
        ("What is x, in centimetres?", 12, ("12 cm", "0.12 m"), ("12 m", "12 kg")),
        ("How many hours did she work?", 8, ("8 h", "480 minutes"), ("8 minutes", "8 days")),
        ("How many years had sales over 100 million?", 4, ("4 years",), ("4 million",)),
        ("What was the value, in billion U.S. dollars?", 36.7, ("$36.7 billion",), ("36.7 million", "€36.7 billion")),
        ("How many objects are red?", 0, ("none", "None of the objects"), ("no cats", "none of the cats")),
        ("What is the ratio of yes to no?", 1.21, ("1.21:1", "1.21 to 1"), ("1:1.21", "12.1:1")),
        ("How old is he in months?", 18, ("18 months", "1.5 years"), ("18 years", "18 weeks")),
        ("How old is the dog?", 8, ("8", "8 years", "96 months"), ("8 months", "8 dogs")),
        ("What is it? (Unit: $)", 9.45, ("945 cents", "nine dollars and forty-five cents"), ("€9.45", "9.45 cents")),
        ("What is the difference, in degrees Celsius?", 12, ("12 °C", "12 degrees"), ("12%", "12 °F")),
        ("How many apples are left?", 6, ("six apples remain", "So, **6** apples are left."), ("six pears remain",)),
        ("What is the number?", 23, ("#23",), ("#28", "#")),
        ("What is shown in °C?", -5, ("-5 °C", "5 degrees below zero"), ("-5 °F", "5 degrees above zero", "5")),
        ("What is shown in °C?", 5, ("5 °C", "5 degrees above zero"), ("5 degrees below zero", "5 below zero")),
        ("By how many percentage points did it rise?", 7, ("7 pp", "It rose by 7 percentage points."), ("7 million",)),
        ("How many objects are red?", 0, ("none of them",), ("none of the cats",)),
        ("What is the ratio of a to b?", 0.25, ("1:4", "1 to 4"), ("4:1", "1:5", "4")),
        ("Find the area.", 24, ("24 cm^2", "24 square units"), ("24 cm^3", "24 cm")),
        ("Find the exact volume.", r"36\pi", (r"36\pi \text{ cm}^3",), (r"36\pi \text{ cm}^2",)),
        ("What is the acceleration due to gravity?", 9.81, ("9.81 m/s^2",), ("9.81 m/s",)),
        ("What is it?", 12, ("12 kg", "12%", "12th"), ()),
    ],
)  # fmt: skip
def test_what_is_asked_for_counts(question: str, gold: object, right: tuple[str, ...], wrong: tuple[str, ...]) -> None:
    assert [said for said in right if not judged(question, gold, said)] == []
    assert [said for said in wrong if judged(question, gold, said)] == []
