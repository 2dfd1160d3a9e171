"""Answers beside a word that the question has for them."""

import pytest

from mstar.answers import answer_of, check


@pytest.mark.parametrize(
    ("question", "gold", "right", "wrong"),
    [
        ("Which planet is it?", "Earth", ("the planet Earth", "Planet: Earth"), ("Planet Mars", "moon Earth")),
        ("What is the name of the river?", "Rio Grande", ("The Rio Grande River",), ("Rio Grande Bridge", "Grande")),
        ("What brand is the camera?", "Nikon", ("a Nikon camera",), ("a Nikon lens", "no Nikon camera")),
        ("What is the age gap?", 8, ("an 8-year gap", "a 96-month gap"), ("an 8-month gap", "8-year plan")),
        ("What is the color of the line?", "dark blue", ("the dark blue line",), ("the blue line", "dark blue ring")),
        ("Which quadrant is it in?", "II", ("quadrant 2", "the second quadrant"), ("quadrant 3", "the third quadrant")),
        ("Which graph is linear?", "Graph 2", ("2", "the graph 2"), ("12", "Graph 3", "graph 2 or 3")),
    ],
)  # fmt: skip
def test_an_answer_counts_beside_its_kind(
    question: str, gold: object, right: tuple[str, ...], wrong: tuple[str, ...]
) -> None:
    answer = answer_of({"answer": gold})
    assert [said for said in right if not check(f"## Answer\n\n{said}", answer, question=question).correct] == []
    assert [said for said in wrong if check(f"## Answer\n\n{said}", answer, question=question).correct] == []


def test_a_letter_behind_its_kind_is_no_letter_of_an_option() -> None:
    answer = answer_of({"answer": "B", "choices": ["sample B", "sample A"], "answer_type": "choice"})
    question = "Which sample is warmer?"
    assert check("## Answer\n\nsample A", answer, question=question).correct
    assert not check("## Answer\n\nsample B", answer, question=question).correct
