"""Signs of other scripts have one plain form, and powers never become digits."""

from hypothesis import given
from hypothesis import strategies as st

from mstar.answers.scripts import fractions_written_out, plain_signs, powers_written_out


@given(st.text(max_size=40))
def test_plain_signs_are_plain_already(text: str) -> None:
    once = plain_signs(text)
    assert plain_signs(once) == once
    assert text.isascii() is False or once == text


def test_digits_brackets_and_spaces_of_other_scripts() -> None:
    assert plain_signs("（Ｂ） ３４ ٣٤ १२ 1\u202f234 3∶4 25℃") == "(B) 34 34 12 1 234 3:4 25°C"


def test_powers_and_fractions() -> None:
    assert powers_written_out("10⁻³ x² m¹⁰") == "10^{-3} x^{2} m^{10}"
    assert fractions_written_out("1½ ¾ 2 ⅔") == "1 1/2 3/4 2 2/3"
    assert fractions_written_out("½", r"\frac{{{over}}}{{{under}}}") == r"\frac{1}{2}"
