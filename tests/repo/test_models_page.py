"""The page of the model families says what the test of the families proves."""

from models_page import PAGE, render


def test_the_page_is_the_registry() -> None:
    assert PAGE.read_text() == render(), "write it again: python tests/support/models_page.py"
