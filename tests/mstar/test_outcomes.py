"""What became of responses: counts, shapes, advice, and when a run should stop."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_rows import question
from mstar.answers import AnswerPlace, check
from mstar.outcomes import Outcomes, advice, explained, outcomes_of, shape_of, together, too_few, unparted
from mstar.types import CheckedResponse, FinishReason, Response, RolloutRow

RIGHT = "Bars.\n\n## Answer\n\n42"
WRONG = "Bars.\n\n## Answer\n\n41"
UNREADABLE = "Bars.\n\n## Answer\n\n41 or 42"
BOX = "Bars are 42.\n\nSo \\boxed{42}"
BARE = "There are 42 bars in the picture"
TEXTS = st.lists(st.sampled_from([RIGHT, WRONG, UNREADABLE, BOX, BARE, ""]), max_size=6)


def row(
    texts: Sequence[str], name: str = "q1", *, cut: bool = False, place: AnswerPlace = AnswerPlace.HEADING
) -> RolloutRow:
    asked = question(name)
    assert asked.answer is not None
    ended = FinishReason.LENGTH if cut else FinishReason.STOP
    responses = tuple(
        CheckedResponse(
            index=index,
            response=Response(text=text, finish_reason=ended),
            verdict=check(text, asked.answer, place=place),
        )
        for index, text in enumerate(texts)
    )
    return RolloutRow(question=asked, temperature=1.0, weight_version="v", responses=responses)


def skipped(name: str) -> RolloutRow:
    return row([], name).model_copy(update={"problem": "too long"})


def test_every_response_has_one_fate() -> None:
    seen = outcomes_of([row([RIGHT, WRONG, UNREADABLE, BOX, BARE, ""]), row([WRONG, RIGHT], cut=True), skipped("q3")])
    assert (seen.questions, seen.skipped, seen.skipped_ids, seen.solved) == (3, 1, ("q3",), 1)
    assert (seen.correct, seen.wrong, seen.unreadable, seen.no_answer, seen.cut_off) == (2, 1, 1, 3, 1)
    assert seen.readable_in[AnswerPlace.BOXED] == 1


@given(st.lists(TEXTS.map(row), max_size=6), st.lists(TEXTS.map(row), max_size=6))
def test_shards_add_up(one: list[RolloutRow], other: list[RolloutRow]) -> None:
    parts, whole = together([outcomes_of(one), outcomes_of(other)]), outcomes_of([*one, *other])
    assert parts.model_copy(update={"shapes": ()}) == whole.model_copy(update={"shapes": ()})
    assert {(s.shape, s.count) for s in parts.shapes} == {(s.shape, s.count) for s in whole.shapes}
    assert whole.responses == whole.correct + whole.wrong + whole.unreadable + whole.no_answer + whole.cut_off
    assert sum(shape.count for shape in whole.shapes) == whole.responses - whole.correct


@pytest.mark.parametrize(
    ("text", "cut", "shape"),
    [
        ("", False, "empty"),
        (BOX, False, "2 to 4 paragraphs, answer in a box"),
        (BARE, True, "one paragraph, no stated answer, cut off"),
        ("a\n\nb\n\nc\n\nd\n\nThe answer is 42.", False, "5 or more paragraphs, answer in a sentence"),
        ("Bars.\n\n42", False, "2 to 4 paragraphs, a word on the last line"),
        ("<answer>42</answer>", False, "one paragraph, answer in a tag"),
        ("So it is\n(B)", False, "one paragraph, a letter on the last line"),
    ],
)
def test_a_shape_says_what_a_response_looks_like(text: str, cut: bool, shape: str) -> None:
    assert shape_of(row([text], cut=cut).responses[0]) == shape


@pytest.mark.parametrize(
    ("seen", "asked", "stops"),
    [
        (Outcomes(questions=16, responses=64, no_answer=64), 5000, True),
        (Outcomes(questions=16, responses=63, no_answer=63), 5000, False),
        (Outcomes(questions=16, responses=64, no_answer=63, wrong=1), 5000, False),
        (Outcomes(questions=4, responses=8, wrong=8), 4, True),
        (Outcomes(questions=255, responses=255, wrong=255), 5000, False),
        (Outcomes(questions=256, responses=256, wrong=256), 5000, True),
        (Outcomes(questions=256, responses=256, wrong=253, correct=3, solved=3), 5000, False),
        (Outcomes(), 0, False),
    ],
)
def test_a_run_stops_once_enough_is_seen(seen: Outcomes, asked: int, stops: bool) -> None:
    assert too_few(seen, asked, 0.01) is stops
    assert not too_few(seen, asked, 0.0)


def test_the_words_have_the_counts_the_shapes_and_what_to_change() -> None:
    seen = outcomes_of([row([BOX, BOX, BARE, WRONG]), skipped("q7")])
    said = explained(seen, AnswerPlace.HEADING, 512)
    assert "0 of 2 questions" in said and "of 4 responses 0 are right, 3 have no answer heading" in said
    assert "0 were cut off at max_tokens = 512, 1 are wrong, 0 have an answer that cannot be read" in said
    assert "1 questions were skipped, since their prompt is too long (q7)" in said
    assert '2 x 2 to 4 paragraphs, answer in a box ("Bars are 42. So \\boxed{42}")' in said
    assert said.endswith("2 of 4 have the answer elsewhere: set prompt.preset boxed.")


def test_advice_follows_the_counts() -> None:
    assert "max_tokens" in advice(outcomes_of([row([BARE] * 4, cut=True)]), AnswerPlace.HEADING)
    assert "prompt.instruction" in advice(outcomes_of([row([BARE] * 4)]), AnswerPlace.HEADING)
    assert "prompt.answer heading" in advice(
        outcomes_of([row([RIGHT] * 4, place=AnswerPlace.BOXED)]), AnswerPlace.BOXED
    )
    assert advice(outcomes_of([row([RIGHT, WRONG])]), AnswerPlace.HEADING) == ""
    assert advice(Outcomes(), AnswerPlace.HEADING) == ""


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (Outcomes(responses=4, cut_off=2), ""),
        (Outcomes(responses=4, cut_off=3), "max_tokens"),
        (Outcomes(responses=4, no_answer=2), ""),
        (Outcomes(responses=4, readable_in={AnswerPlace.BOXED: 1}), ""),
        (Outcomes(responses=4, readable_in={AnswerPlace.BOXED: 2}), "2 of 4 have the answer elsewhere"),
        (Outcomes(responses=4, readable_in={AnswerPlace.BOXED: 2, AnswerPlace.HEADING: 2}), ""),
        (Outcomes(responses=4, readable_in={AnswerPlace.HEADING: 4}), ""),
    ],
)
def test_advice_is_given_by_more_than_half_and_another_layout_by_more_than_a_quarter(seen: Outcomes, said: str) -> None:
    told = advice(seen, AnswerPlace.HEADING)
    assert said in told and bool(said) == bool(told)


TWO_STEPS = "Bars.\n\nMore bars.\n\n## Answer\n\n42"
LINES = "Bars.\nMore bars.\n\n## Answer\n\n42"


@pytest.mark.parametrize(
    ("texts", "separator", "said"),
    [
        ([TWO_STEPS] * 4, "<step>", ["4 of 4 responses are one step", "'<step>'", "4 of them", repr("\n\n")]),
        ([LINES] * 4, "\n\n", ["4 of 4 responses are one step", "4 of them have more steps with " + repr("\n")]),
        ([RIGHT] * 4, "<step>", ["4 of 4", "Ask for it in prompt.instruction"]),
        ([TWO_STEPS] * 4, "\n\n", []),
        ([RIGHT] * 4 + [TWO_STEPS], "\n\n", []),
        # No step at all: what a separator would part is not there.
        (["## Answer\n\n42", ""], "\n\n", []),
    ],
)
def test_responses_that_a_separator_never_parts_are_found(
    texts: Sequence[str], separator: str, said: Sequence[str]
) -> None:
    rows = [row([text]).model_copy(update={"step_separator": separator}) for text in texts]
    seen = together([outcomes_of(rows[:1]), outcomes_of(rows[1:])])
    told = unparted(seen, separator)
    assert all(part in told for part in said) and bool(told) == bool(said)
    assert unparted(seen, separator, least=5) == ""
