"""Cutting responses into steps and answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.layout import join_segments, merge_segments, scored_segments, split_response

PIECES = st.sampled_from(
    ["a", "b c", " ", "\n", "\n\n", "\n\n\n", "\r\n", "\t", "\x0b", "## Answer", "# answer:", "**Answer**", "Answer: 5"]
)
TEXTS = st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=60)


def test_paragraphs_are_steps_and_the_rest_is_the_answer() -> None:
    parts = split_response("Red is 12.\n\nBlue is 30,\nso 42.\n\n## Answer\n\n42")
    assert parts.steps == ("Red is 12.", "Blue is 30,\nso 42.")
    assert parts.answer == "42"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("one\n\n### ANSWER:\n\n5", "5"),
        ("one\n## Answer\n5", "5"),
        ("one\r\n\r\n## Answer\r\n\r\n5\r\n", "5"),
        ("## Answer\n\n5\n\n## Answer\n\n6", "5\n\n## Answer\n\n6"),
        ("one\n\n## Answer", ""),
        ("the answer is 5", None),
        ("one\n\n## Answer 5", None),
        ("one\n\n## Answer: 5", "5"),
        ("one\n\n## Final Answer\n\n5", "5"),
        ("one\n\n**Answer**\n\n5", "5"),
        ("one\n\n**Final Answer:** 5", "5"),
        ("one\n\n**Answer**: 5", "5"),
        ("one\n\nAnswer: 5", "5"),
        ("one\n\n答案：5", "5"),
        ("my answer: 5", None),
        ("one\n\nAnswer\n\n5", None),
        ("", None),
    ],
)
def test_heading(text: str, answer: str | None) -> None:
    assert split_response(text).answer == answer


def test_answer_block_is_the_last_segment() -> None:
    assert scored_segments("a\n\n\n b \n\n# answer\n61") == ("a", "b", "## Answer\n\n61")
    assert scored_segments("a\n\nb") == ("a", "b")
    assert scored_segments("  \n ") == ()


@given(TEXTS)
def test_canonical_text_is_cut_into_the_same_segments(text: str) -> None:
    segments = scored_segments(text)
    canonical = join_segments(segments)
    assert scored_segments(canonical) == segments
    assert split_response(canonical) == split_response(text)
    assert all(segment == segment.strip() != "" for segment in segments)


@given(TEXTS, st.integers(1, 6))
def test_merging_keeps_the_text_and_the_limit(text: str, limit: int) -> None:
    segments = scored_segments(text)
    merged = merge_segments(segments, limit)
    assert join_segments(merged) == join_segments(segments)
    assert len(merged) == min(limit, len(segments))


def test_merging_is_even_and_spares_the_answer_block() -> None:
    segments = ("a", "b", "c", "d", "e", "## Answer\n\n1")
    assert merge_segments(segments, 3) == ("a\n\nb", "c\n\nd\n\ne", "## Answer\n\n1")
    assert merge_segments(segments, 1) == (join_segments(segments),)
    assert merge_segments(segments[:5], 2) == ("a\n\nb", "c\n\nd\n\ne")


def test_merging_needs_room_for_one() -> None:
    with pytest.raises(ValueError, match="limit = 0"):
        merge_segments(("a",), 0)
