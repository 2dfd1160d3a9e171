"""Counts in English words."""

import pytest

from mstar.answers.numbers import read_number
from mstar.answers.rule import DEFAULT_RULE


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("two hundred forty", 240),
        ("two hundred and forty-one pages", 241),
        ("a hundred and five", 105),
        ("twelve hundred", 1200),
        ("one thousand two hundred and fifty", 1250),
        ("two hundred forty thousand", 240_000),
        ("two million three hundred thousand and five", 2_300_005),
        ("zero", 0),
    ],
)
def test_a_count_in_words_is_read_whole(text: str, value: int) -> None:
    number = read_number(text, DEFAULT_RULE)
    assert number is not None
    assert number.value == value


@pytest.mark.parametrize(
    "text",
    [
        "two hundred three hundred",
        "two thousand one hundred thousand",
        "two hundred or forty",
        "two hundred and",
        "nineteen ninety",
        "one two",
        "two hundred twelfth",
        "two hundred forty-five thousandths",
        "five hundred and one half",
    ],
)
def test_what_is_no_count_is_not_read(text: str) -> None:
    assert read_number(text, DEFAULT_RULE) is None
