"""Where a response states its answer, place by place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.answers import AnswerPlace, check, find_answer
from mstar.answers.find import stated_answer
from mstar.layout import scored_segments
from mstar.types import Answer, AnswerType

HEADING, BOXED, TAG = AnswerPlace.HEADING, AnswerPlace.BOXED, AnswerPlace.ANSWER_TAG
LAST, LETTER = AnswerPlace.LAST_LINE, AnswerPlace.LETTER
HEADINGS = [
    "## Answer\n\n{}",
    "## Answer: {}",
    "# Answer\n{}",
    "### ANSWER:\n\n{}",
    "## Answer ##\n\n{}",
    "## Final Answer\n\n{}",
    "## **Final Answer**\n\n{}",
    "**Answer:** {}",
    "**Answer**: {}",
    "**Answer: {}**",
    "## **Answer: {}**",
    "**Final answer: $\\boxed{{{}}}$**",
    "**Final Answer:** \\boxed{{{}}}",
    "*Answer:* {}",
    "Answer: {}",
    "The answer is: {}",
    "The final answer is: $\\boxed{{{}}}$",
    "Correct answer: {}",
    "- **Answer:** {}",
    "> **Answer:** {}",
    "答案：{}",
    "## Answer\n\nThe total is \\boxed{{{}}}.",
    "## Answer\n\n<answer>{}</answer>",
    "## Answer\n\n**{}**",
    "Final Answer: The final answer is ${}$. I hope it is correct.",
    "## Answer\n\n{}\n\n## Explanation\n\nBecause of both bars.",
]
BEFORE = st.lists(st.text("abc ,.=+-0123456789", min_size=1, max_size=30).filter(str.strip), max_size=3)


def gold(value: int) -> Answer:
    return Answer(type=AnswerType.INTEGER, value=str(value))


@pytest.mark.parametrize("style", HEADINGS)
@given(BEFORE, st.integers(-9999, 9999), st.integers(1, 9))
def test_a_heading_is_read_as_models_write_it(style: str, steps: list[str], value: int, off: int) -> None:
    text = "\n\n".join([*steps, style.format(value)])
    assert check(text, gold(value)).correct
    assert not check(text, gold(value + off)).correct


@given(BEFORE, st.integers(0, 99), st.sampled_from([HEADING, BOXED, TAG]))
def test_the_last_number_is_never_the_answer(steps: list[str], value: int, place: AnswerPlace) -> None:
    text = "\n\n".join([*steps, f"so there are {value}", str(value)])
    assert find_answer(text, place) is None


@given(st.text(max_size=80), st.sampled_from(list(AnswerPlace)))
def test_every_text_is_read_and_what_is_found_stands_in_it(text: str, place: AnswerPlace) -> None:
    found = find_answer(text, place)
    if found is not None and place is not HEADING:
        assert all(word in text for word in found.split())


@given(BEFORE, st.integers(0, 99), st.integers(1, 9))
def test_two_different_answers_are_none(steps: list[str], value: int, off: int) -> None:
    lead = "\n\n".join([*steps, ""])
    for place, mark in ((BOXED, "\\boxed{{{}}}"), (TAG, "<answer>{}</answer>")):
        one, other = mark.format(value), mark.format(value + off)
        assert find_answer(f"{lead}{one}", place) == str(value)
        assert find_answer(f"{lead}{one} so {one}", place) == str(value)
        assert find_answer(f"{lead}{one} or {other}", place) is None


@pytest.mark.parametrize(
    ("place", "text", "found"),
    [
        (BOXED, "So $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}"),
        (BOXED, "So \\boxed{12} kg.", "12 kg"),
        (BOXED, "So \\boxed{B} is right", "B"),
        (BOXED, "So \\boxed{12", None),
        (BOXED, "## Answer\n\n12", None),
        (BOXED, "\\fbox{12}", "12"),
        (TAG, "<think>5</think><answer> 12 </answer>", "12"),
        (TAG, "<ANSWER>12</ANSWER>", "12"),
        (TAG, "<answer>12", None),
        (TAG, "</answer>12<answer>", None),
        (LAST, "First.\n\nThe answer is 12.\n \n", "The answer is 12."),
        (LAST, " \n", None),
        (LETTER, "Think.\n(B)", "(B)"),
        (LETTER, "Think.\nThe answer is B.", "The answer is B."),
        (LETTER, "B. blue", "B. blue"),
        (LETTER, "Bananas are yellow", None),
        (LETTER, "B\n\nsince it is blue", None),
        (HEADING, "\\boxed{12}", None),
        (HEADING, "## Answer\n\nIt is not \\boxed{12}", "It is not \\boxed{12}"),
        (HEADING, "## Answer\n\n11, \\boxed{12}", "11, \\boxed{12}"),
        (HEADING, "## Answer\n\n\\boxed{12} kg", "12 kg"),
        (HEADING, "## Answer\n\n\\boxed{12} or 13", "\\boxed{12} or 13"),
        (HEADING, "## Answer\n\n", ""),
        (HEADING, "The final answer is: 12\n\n## Answer\n\n**12**", "**12**"),
        (HEADING, "## Answer\n\n**Answer:** 12", "12"),
        (HEADING, "The answer is: 11\n\n## Answer\n\n12", "11\n\n## Answer\n\n12"),
    ],
)
def test_place(place: AnswerPlace, text: str, found: str | None) -> None:
    assert find_answer(text, place) == found


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (HEADING, "no-answer-heading"),
        (BOXED, "no-single-box"),
        (TAG, "no-single-answer-tag"),
        (LAST, "no-last-line"),
        (LETTER, "no-letter-on-the-last-line"),
    ],
)
def test_the_reason_names_the_place(place: AnswerPlace, reason: str) -> None:
    assert check(" ", gold(1), place=place).reason == reason


@pytest.mark.parametrize("place", list(AnswerPlace))
@pytest.mark.parametrize("answer", ["B", "12.5", "[1, 2]", "left of A"])
def test_a_stated_answer_is_found_in_its_place(place: AnswerPlace, answer: str) -> None:
    # Only a choice question has its answer there, and its answer is a letter.
    answer = "B" if place is AnswerPlace.LETTER else answer
    assert find_answer(stated_answer(answer, place), place) == answer


def test_the_last_line_is_read_whole() -> None:
    assert check("Work.\n\nThe answer is 12.", gold(12), place=LAST).correct
    assert not check("Work.\n\nso there are 12 of 14", gold(12), place=LAST).correct


@pytest.mark.parametrize("mark", ["\\boxed{", "<answer>", "</answer>", "\\boxed{\\boxed{", "**Answer: ", "*Answer:*"])
def test_many_marks_take_no_longer_than_their_number(mark: str) -> None:
    """Were each looked for on its own, this would take minutes."""
    for place in AnswerPlace:
        find_answer(mark * 30_000, place)
        find_answer(f"{mark}\n" * 30_000, place)


@pytest.mark.parametrize("style", HEADINGS)
def test_the_answer_block_is_canonical_whatever_the_heading(style: str) -> None:
    *steps, block = scored_segments("One.\n\nTwo.\n\n" + style.format("7"))
    assert steps == ["One.", "Two."]
    assert block.startswith("## Answer\n\n")
