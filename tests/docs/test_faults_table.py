"""The table of faults in the docs: rows are replaced by test, others stay, and every test in it exists."""

import re
from pathlib import Path

import pytest

from faults_table import BEGIN, END, HEAD, PAGE, Row, merged

TESTS = Path(__file__).parents[1]


def test_rows_of_tests_that_ran_are_replaced_and_the_others_stay() -> None:
    rows = "| a | b | as expected | 1.0 | `test_one` |\n| c | d | otherwise | 2.0 | `test_two` |\n"
    page = f"before\n{BEGIN}{HEAD}{rows}{END}\nafter"
    row = Row("a", "b", [3.0, 4.5], failed=1, again=1).line("test_one")
    text = merged(page, {"test_one": row, "test_three": Row("e", "f", [0.2]).line("test_three")})
    assert row == "| a | b | otherwise, 1 of 2 cases (1 run twice) | 4.5 | `test_one` |"
    assert text.index("test_one") < text.index("test_two") < text.index("test_three")
    assert text.startswith("before\n") and text.endswith("after") and "| 1.0 |" not in text
    assert merged(text, {}) == text


def test_a_page_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        merged("nothing", {})


def test_every_test_that_the_page_names_is_there_and_holds() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert BEGIN in page and END in page
    named = set(re.findall(r"`(test_\w+)` \|$", page, flags=re.MULTILINE))
    sources = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    assert {name for name in named if f"def {name}(" not in sources} == set()
    assert "| otherwise" not in page
