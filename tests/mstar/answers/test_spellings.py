"""Answers that say the reference in another spelling, and near misses of each."""

import pytest

from mstar.answers import answer_of, check


@pytest.mark.parametrize(
    ("question", "gold", "right", "wrong"),
    [
        ("图中有多少个苹果？", 50, ("五十", "五十个"), ("五", "五百", "五十或六十", "五分之一")),
        ("一共多少个？", 120, ("一百二十",), ("一百二", "一千二百")),
        ("On which days?", "Monday to Friday", ("Mon-Fri", "from Monday through Friday"), ("Monday and Friday",)),
        ("What is the invoice date?", "07/14/2015", ("07-14-2015",), ("07-15-2015",)),
        ("In which quarter?", "Q3 2018", ("2018 Q3",), ("2018 Q2", "2018")),
        ("Which age group?", "18-24", ("ages 18 to 24", "18-24 year olds"), ("18 years old", "18-24 months")),
        ("What time does the clock show?", "2:45", ("2:45 pm",), ("3:45 pm", "14:45 am")),
        ("When does it begin?", "2:45", (), ("2:45 pm",)),
        ("In how many years?", 3, ("3 (2010, 2012, 2014)",), ("3 (2010, 2012)",)),
        ("Which two years?", [2011, 2013], ("2013 and 2011",), ("2011-2013",)),
        ("Who wrote it?", "Marlowe", ("It was written by Marlowe.",), ("It was written for Marlowe.",)),
        ("Who is it?", "Marie Curie", ("Marie Curie, the physicist",), ("Pierre Curie, the physicist",)),
        ("What is the phone number?", "555-0142", ("5550142", "(555-0142)"), ("5550124", "0142")),
        ("Which reaction?", "2H2 + O2 -> 2H2O", ("2H₂ + O₂ → 2H₂O",), ("2H2O → 2H2 + O2",)),
        ("Which shells?", "1s2 2s2 2p4", ("1s² 2s² 2p⁴", "$1s^2 2s^2 2p^4$"), ("1s2 2s2 2p3",)),
        ("How do they lie?", r"AB \parallel CD", ("CD ∥ AB",), ("AB ⊥ CD",)),
        ("Which angle?", r"\angle 3", ("∠3", "angle 3"), ("∠4",)),
        ("What is the side?", r"\sqrt[3]{2}", ("$2^{1/3}$",), ("$2^{1/2}$", "$2^3$")),
        ("What is x?", "e^2", (r"\exp(2)",), (r"\exp(-2)",)),
        ("What are the angles?", "30, 60", ("30° and 60°",), ("30° or 60°", "30 cm and 60°")),
        ("Which dessert?", "ice cream", ("icecream",), ("cream ice",)),
        ("In $\\triangle ABC$, what is the angle?", 60, ("60°",), ("61°",)),
        ("How much does each ticket cost?", "$12", ("$12 per ticket",), ("$12 per hour", "12 tickets")),
        ("How heavy is the box?", "25 kg", ("The box weighs 25 kg.",), ("The box weighs 25 lb.",)),
        ("Which ratio of a to b?", "2:3", (r"\frac{2}{3}",), (r"\frac{3}{2}",)),
    ],
)  # fmt: skip
def test_another_spelling_counts(question: str, gold: object, right: tuple[str, ...], wrong: tuple[str, ...]) -> None:
    def judged(said: str) -> bool:
        return check(f"## Answer\n\n{said}", answer_of({"answer": gold}), question=question).correct

    assert [said for said in right if not judged(said)] == []
    assert [said for said in wrong if judged(said)] == []


OPTIONS = ["herbivore", "carnivore", "Abraham Lincoln", "cannot be determined"]


@pytest.mark.parametrize(
    ("letter", "right", "wrong"),
    [
        ("A", ("option a: herbivore", "**A. herbivore**, as rabbits eat plants", "故选：A"), ("option b: herbivore",)),
        ("C", ("Abraham Lincoln, the 16th president",), ("a carnivore, the fox",)),
        ("D", ("The answer cannot be determined from the figure.",), ("It can be determined.",)),
    ],
)
def test_a_choice_in_another_dress_counts(letter: str, right: tuple[str, ...], wrong: tuple[str, ...]) -> None:
    answer = answer_of({"answer": letter, "choices": OPTIONS})
    assert [said for said in right if not check(f"## Answer\n\n{said}", answer, question="Which?").correct] == []
    assert [said for said in wrong if check(f"## Answer\n\n{said}", answer, question="Which?").correct] == []


def test_the_unit_of_an_option_is_what_the_question_counts() -> None:
    answer = answer_of({"answer": "B", "choices": ["3", "4"]})
    question = "How many triangles are there?"
    assert check("## Answer\n\n4 triangles", answer, question=question).correct
    assert not check("## Answer\n\n4 squares", answer, question=question).correct
