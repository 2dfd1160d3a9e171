"""Where images stand in a question: at their marks, or before it; nothing of the text is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.image_marks import MARK, as_published, marked, placed

texts = st.text(st.characters(codec="utf-8"), max_size=20).filter(lambda text: "<" not in text and ">" not in text)


@given(st.lists(texts, min_size=1, max_size=6))
def test_a_text_with_a_mark_for_each_image_places_them(between: list[str]) -> None:
    parts = placed(MARK.join(between), len(between) - 1)
    assert parts.count(None) == len(between) - 1
    assert "".join(part or "" for part in parts) == "".join(between)
    assert marked(MARK.join(between), len(between) - 1) == MARK.join(between)


@given(st.lists(texts, min_size=1, max_size=6), st.integers(0, 8))
def test_a_text_with_other_marks_stays_whole_behind_its_images(between: list[str], images: int) -> None:
    text = MARK.join(between)
    if images == len(between) - 1:
        images += 1
    assert placed(text, images) == (*[None] * images, text)
    assert marked(text, images) == MARK * images + text.replace(MARK, "< image>")
    assert marked(text, images).count(MARK) == images


def test_a_question_in_words_is_its_text() -> None:
    assert placed("How many?", 0) == ("How many?",)


@pytest.mark.parametrize(
    ("published", "images", "kept"),
    [
        ("<image>\nHow many?", 1, "How many?"),
        ("How many?\n<image>", 1, "How many?"),
        ("<image><image>Which is larger?", 2, "Which is larger?"),
        ("In <image> and <image>, which is larger?", 2, "In <image> and <image>, which is larger?"),
        ("In <image 1> and <image 2>, which?", 2, "In <image> and <image>, which?"),
        ("In <image 2>, not <image 1>, which?", 2, "In image 2, not image 1, which?"),
        ("<image 1> <image 2> Is <image 2> larger?", 2, "image 1 image 2 Is image 2 larger?"),
        ("<|vision_start|><|image_pad|><|vision_end|>How many?", 1, "How many?"),
        ("In <|image_1|> and <|image_2|>, which?", 2, "In <image> and <image>, which?"),
        ("What does [IMG] mean?", 2, "What does [IMG] mean?"),
        ("<image> shows what?", 2, "shows what?"),
        ("What?", 0, "What?"),
    ],
)
def test_marks_of_a_published_question_stay_where_they_say_more(published: str, images: int, kept: str) -> None:
    assert as_published(published, images) == kept
