"""What a response concludes from the words or the work in front of it."""

import pytest

from mstar.answers import answer_of, check
from mstar.answers.conclusions import concluded_letter, conclusion_of

OPTIONS = {"A": "isaac newton", "B": "albert einstein", "C": "none of the above"}


@pytest.mark.parametrize(
    ("said", "letter"),
    [
        ("Einstein wrote it: B", "B"),
        ("It was Einstein, so the correct option is (B).", "B"),
        ("Neither fits. The answer is C", None),
        ("None of these fits, so the answer is C.", "C"),
        ("Newton wrote it: B", None),
        ("It is A, so B", None),
        ("It was not Einstein, so B", None),
        ("It was Einstein or Newton, so B", None),
        ("It was Einstein, so E", None),
        ("$\\angle A$ and $\\angle B$ do not matter, so C", "C"),
        ("A, B", None),
    ],
)
def test_a_letter_counts_behind_words_of_no_other_option(said: str, letter: str | None) -> None:
    assert concluded_letter(said, OPTIONS) == letter


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        (r"\sin A = \frac{BC}{AB} = \frac{3}{5}", r"\sin A = \frac{3}{5}"),
        ("$AC^2 = 25$, so $AC = 5$", "$AC = 5$"),
        (r"C = 2\pi r \approx 12.57", "C =  12.57"),
        (r"AB = \sqrt{48} = 4\sqrt{3} \approx 6.93", r"AB = 4\sqrt{3} \approx 6.93"),
        ("x = 1, y = 2 = z", "x = 1, y = 2 = z"),
        ("it is not 4, so x = 5", "it is not 4, so x = 5"),
        ("x = 5", "x = 5"),
    ],
)
def test_of_a_chain_its_ends_are_left(said: str, ends: str) -> None:
    assert conclusion_of(said) == ends


def test_either_of_two_forms_of_one_value_counts() -> None:
    assert check("## Answer\n\n3/4 or 0.75", answer_of({"answer": "3/4"})).correct
    assert not check("## Answer\n\n3/4 or 4/3", answer_of({"answer": "3/4"})).correct
