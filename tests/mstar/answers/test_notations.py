"""Roman numerals, bases, `7+` and ratios that are not reduced."""

import pytest

from mstar.answers.notations import same_notation


@pytest.mark.parametrize(
    ("question", "gold", "right", "wrong"),
    [
        ("Which year?", "MCMXCIV", ("1994", "MCMXCIV (1994)", "1994 (MCMXCIV)"), ("1996", "MCMXCIV (1996)", "1994 BC")),
        ("Which?", "MIXED", (), ("1009",)),
        ("In binary?", "1101_2", ("1101_{2}", "1101₂", "(1101)_2", "1101", "13 = 1101_2"), ("1101_3", "1011", "11012")),
        ("Which number?", "1101_2", ("1101₂",), ("1101",)),
        ("For whom?", "7+", ("7 and up", "ages 7+", "7 or older", "at least 7"), ("7", "17+", "7-9", "under 7")),
        ("What is the ratio?", "2:3", ("4:6", "two to three"), ("3:2", "6:4", "2:5")),
        ("What is the ratio in simplest form?", "2:3", ("two to three",), ("4:6",)),
        ("What was the score?", "2:3", (), ("4:6",)),
    ],
)  # fmt: skip
def test_one_thing_in_its_notation(question: str, gold: str, right: tuple[str, ...], wrong: tuple[str, ...]) -> None:
    assert [said for said in right if not same_notation(said, gold, question)] == []
    assert [said for said in wrong if same_notation(said, gold, question)] == []
