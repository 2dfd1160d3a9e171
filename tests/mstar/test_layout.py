"""Cutting responses into steps and answer."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.blocks import blocks
from mstar.layout import canonical_steps, join_segments, scored_segments, segment_spans, split_response

PIECES = st.sampled_from(
    [
        "a",
        "b c",
        " ",
        "\n",
        "\n\n",
        "\n\n\n",
        "\r\n",
        "\t",
        "\x0b",
        "## Answer",
        "# answer:",
        "**Answer**",
        "Answer: 5",
        "$$",
        "\\[",
        "\\]",
        "\\begin{cases}",
        "\\end{cases}",
        "```",
        "\n```\n",
        "~~~py",
        "\n~~~\n",
        "\\",
    ]
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


@given(TEXTS)
def test_spans_are_where_the_segments_stand_in_the_text(text: str) -> None:
    segments, spans = scored_segments(text), segment_spans(text)
    plain = [text[begin:end].replace("\r\n", "\n").replace("\r", "\n") for begin, end in spans]
    assert len(plain) == len(segments)
    steps = len(split_response(text).steps)
    assert plain[:steps] == list(segments[:steps])
    for block in plain[steps:]:
        assert scored_segments(block) == segments[steps:]
    assert all(one == one.strip() for one in plain)
    assert [place for span in spans for place in span] == sorted(place for span in spans for place in span)


def test_spans_of_a_text_with_other_line_ends_are_places_in_it() -> None:
    text = "a\r\n\r\n b\rc \r\n\r\n  ** Answer:** 5\r\n"
    assert [text[slice(*span)] for span in segment_spans("one\r\n\r\n two\rthree \r\n\r\n**Answer:** 5\r\n")]
    text = "one\r\n\r\n two\rthree \r\n\r\n  **Answer:** 5\r\n"
    assert [text[slice(*span)] for span in segment_spans(text)] == ["one", "two\rthree", "**Answer:** 5"]


@pytest.mark.parametrize(
    "block",
    [
        "$$\nx = 3\n\ny = 4\n$$",
        "\\[\na\n\n= b\n\\]",
        "\\begin{aligned}\na\n\n&= b\n\\end{aligned}",
        "\\begin{cases} 1\n\n\\begin{cases} 2\n\n\\end{cases}\n\n3 \\end{cases}",
        "```python\nx = 3\n\nprint('$$')\n```",
        "~~~\na\n\n```\n\nb\n~~~",
        "````\n```\n\n```\n````",
    ],
)
def test_a_blank_line_inside_a_block_cuts_no_step(block: str) -> None:
    text = f"We know this.\n\nSo {block} holds.\n\nHence 7.\n\n## Answer\n\n7"
    if block[0] in "`~":
        text = text.replace(f"So {block} holds", f"So\n{block}\nholds")
        block = f"\n{block}\n"
        assert scored_segments(text)[1] == f"So{block}holds."
    else:
        assert scored_segments(text)[1] == f"So {block} holds."
    assert len(scored_segments(text)) == 4
    assert split_response(text).answer == "7"


@pytest.mark.parametrize(
    "mark", ["$$", "\\[", "\\]", "\\begin{cases}", "\\end{cases}", "```", "```python", "\\\\[2pt]"]
)
def test_a_mark_that_nothing_closes_is_ordinary_text(mark: str) -> None:
    assert scored_segments(f"a\n\n{mark}\n\nb\n\nc") == ("a", mark, "b", "c")


def test_a_block_ends_before_the_answer() -> None:
    """A stray mark in a step finds no partner in the answer."""
    assert scored_segments("a $$ b\n\nc\n\n## Answer\n\n$$4$$") == ("a $$ b", "c", "## Answer\n\n$$4$$")
    assert scored_segments("a\n\n\\\\[2pt] b\n\n\\] c") == ("a", "\\\\[2pt] b", "\\] c")


@pytest.mark.parametrize("mark", ["$$", "\\[\n\n", "\\begin{a}\n\n", "```x\n\n", "```\n\n", "\\begin{a}\\end{a}\n\n"])
def test_many_marks_take_no_longer_than_their_number(mark: str) -> None:
    """Were each looked for on its own, this would take minutes."""
    assert scored_segments(mark * 100_000)


@given(TEXTS)
def test_blocks_follow_each_other(text: str) -> None:
    found = blocks(text)
    assert all(begin < end <= len(text) for begin, end in found)
    assert all(one[1] <= other[0] for one, other in pairwise(found))


def test_steps_of_a_caller_are_as_they_stand_in_a_response() -> None:
    assert canonical_steps(["a\n", " b ", "c\r\nd\r", "a"]) == ("a", "b", "c\nd", "a")


@pytest.mark.parametrize("head", ["## Answer", "**Answer: a**", "**Answer:", "- ## Answer", "The answer"])
def test_long_white_space_is_read_in_linear_time(head: str) -> None:
    begun = time.process_time()
    assert split_response(f"{head}{' ' * 60_000}x").answer is None
    assert time.process_time() - begun < 5, "quadratic time takes twenty seconds and more"
