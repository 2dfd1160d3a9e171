"""A recipe's own separator of steps: which text may be one, and that a response is cut where it is joined."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_rows import rollout
from mstar.errors import InvalidInput
from mstar.layout import (
    STEP_SEPARATOR,
    gaps,
    is_answer_block,
    join_segments,
    scored_segments,
    segment_spans,
    separator_problem,
    split_response,
)
from mstar.left_out import reasons_left_out
from mstar.needed_scores import distinct_correct
from mstar.outcomes import shape_of
from mstar.prm_schemes import LabelTokens, declaration, own_scheme, scheme_of
from mstar.prompts import PRESETS, PromptForm, PromptPreset, PromptRecipe, inherited, prompt_form, prompt_text
from mstar.recipes import parse_recipe
from mstar.selection_rules import SelectionMode, SelectionRecipe
from mstar.soundness import is_sound
from mstar.types import Question, RolloutRow
from mstar_data.layouts import layout
from mstar_data.samples import ExportSample

GOOD = (STEP_SEPARATOR, "\n", "<step>", "\n<step>", " ки", "->", "|", "\n* ", "Step:", r"\nabla")
BAD = (
    ("", "has 0 characters: give 1 to 20"),
    ("x" * 21, "has 21 characters"),
    ("a\r", "control character"),
    ("\t", "control character"),
    (r"\n", "not a line feed: write it in double quotes"),
    (r"\n\n", "not a line feed"),
    (" ", "white space that stands between words"),
    ("aa", "ends as it begins"),
    ("\n---\n", "ends as it begins"),
    ("\n\n\n", "ends as it begins"),
    ("- \n", "white space before a line feed"),
    ("$$", "ends as it begins"),
    ("x$$", "a mark of mathematics or code"),
    ("\\[", "a mark of mathematics or code"),
    ("\n```py", "a mark of mathematics or code"),
    ("Answer:", "reads as the answer's heading"),
    ("\n## Answer", "reads as the answer's heading"),
)
separators = st.sampled_from(GOOD) | st.text("ab<>\n |*-", min_size=1, max_size=6).filter(
    lambda one: separator_problem(one) is None
)
texts = st.lists(
    st.sampled_from(
        ("a", "b", "3 + 4 = 7", " ", "\n", "\n\n", "\r\n", "<step>", "|", "->", "<", ">", "*", "- ", "$$", "ки")
    ),
    max_size=14,
).map("".join)
endings = st.sampled_from(("", "\n## Answer\n\n7", "\n\n**Answer:** 7 | 8\n\nor not", "## Answer"))


@pytest.mark.parametrize("separator", GOOD)
def test_a_text_whose_ends_differ_can_separate(separator: str) -> None:
    assert separator_problem(separator) is None
    assert parse_recipe({"name": "a", "prompt": {"step_separator": separator}}).form.step_separator == separator


@pytest.mark.parametrize(("separator", "said"), BAD)
def test_another_is_refused_with_what_to_do(separator: str, said: str) -> None:
    assert said in str(separator_problem(separator))
    with pytest.raises(Exception, match=r"prompt\.step_separator: ") as refused:
        parse_recipe({"name": "a", "prompt": {"step_separator": separator}})
    assert "\n" not in str(refused.value)


@given(texts, endings, separators)
def test_what_is_joined_is_cut_into_the_same_segments(text: str, ending: str, separator: str) -> None:
    segments = scored_segments(text + ending, separator)
    joined = join_segments(segments, separator)
    assert scored_segments(joined, separator) == segments
    assert all(one == one.strip() and one for one in segments)
    assert len(gaps(segments, separator)) == max(0, len(segments) - 1)


@given(texts, endings, separators)
def test_places_in_the_text_are_those_of_the_segments(text: str, ending: str, separator: str) -> None:
    whole = text + ending
    spans = segment_spans(whole, separator)
    segments = scored_segments(whole, separator)
    assert len(spans) == len(segments)
    for (begin, end), segment in zip(spans, segments, strict=True):
        if not is_answer_block(segment):
            assert whole[begin:end].replace("\r\n", "\n") == segment


@given(texts, endings, separators)
def test_the_answer_is_the_same_under_any_separator(text: str, ending: str, separator: str) -> None:
    assert split_response(text + ending, separator).answer == split_response(text + ending).answer


@given(texts, endings)
def test_a_blank_line_is_the_default(text: str, ending: str) -> None:
    assert scored_segments(text + ending) == scored_segments(text + ending, STEP_SEPARATOR)
    segments = scored_segments(text + ending)
    assert join_segments(segments) == STEP_SEPARATOR.join(segments)


def test_selection_and_its_reasons_cut_a_row_as_its_run_does() -> None:
    texts = [
        "A is 3\nB is 4\n\n## Answer\n\n42",
        "A is 3\nB is 4\n## Answer\n\n42",
        "A is 3\n\nB is 4\n\n## Answer\n\n42",
    ]
    row = rollout([True] * 3, texts=texts)
    assert list(distinct_correct(row, 2)) == [texts[2]], "two steps by blank lines"
    lines = row.model_copy(update={"step_separator": "\n"})
    assert list(distinct_correct(lines, 2)) == [texts[1]], "all three are the same two lines"
    assert reasons_left_out(lines, SelectionRecipe(mode=SelectionMode.RANDOM, k=1, min_steps=2))[2] == (
        "the same text as response 1"
    )
    assert is_sound(texts[1], ("A is 3", "B is 4"), "\n") and not is_sound(texts[1], ("A is 3", "B is 4"))


def test_the_heading_begins_a_line_behind_any_separator() -> None:
    segments = ("A is 3", "B is 4", "## Answer\n\n7")
    assert join_segments(segments, "<step>") == "A is 3<step>B is 4\n\n## Answer\n\n7"
    assert join_segments(segments, "\n") == "A is 3\nB is 4\n## Answer\n\n7"


def test_mathematics_and_code_stay_whole() -> None:
    text = "So\n$$\nx\n=3\n$$\nand\n```\na\nb\n```\ndone"
    assert scored_segments(text, "\n") == ("So", "$$\nx\n=3\n$$", "and", "```\na\nb\n```", "done")


@pytest.mark.parametrize(
    ("separator", "said"),
    [
        (STEP_SEPARATOR, "Write each step as a paragraph of its own, with a blank line between two steps."),
        ("\n", "Write each step on a line of its own."),
        ("<step>", 'Write "<step>" between two steps.'),
        ("\n<step>", 'Write "<step>" on a line of its own between two steps.'),
    ],
)
def test_the_layout_asks_for_the_separator(separator: str, said: str) -> None:
    form = prompt_form(PromptRecipe(step_separator=separator), "./model")
    assert said in prompt_text(Question(id="q", text="How many?"), form)


def test_in_an_instruction_of_ones_own_the_layouts_words_are_text() -> None:
    form = prompt_form(PromptRecipe(instruction="Fill {steps} and {x}. {layout}"), "./model")
    assert "Fill {steps} and {x}. Reason step by step. Write" in prompt_text(Question(id="q", text="How many?"), form)


def test_a_prm_declares_its_separator_unless_it_is_a_blank_line() -> None:
    plain = own_scheme({"<good>", "<bad>"})
    assert json.loads(declaration(plain)) == {"scheme": "label-tokens", "good": "<good>", "bad": "<bad>"}
    lines = own_scheme({"+", "-"}, "\n")
    assert LabelTokens.model_validate_json(declaration(lines)) == lines and lines.step_separator == "\n"
    with pytest.raises(InvalidInput, match=r"bad label-tokens\.step_separator|bad step_separator"):
        scheme_of("the folder", {}, {"scheme": "label-tokens", "step_separator": "aa"}, (), "model")


def test_shapes_count_the_steps_of_the_run() -> None:
    (one,) = rollout([False], texts=["A\nB\nC"]).responses
    assert shape_of(one).startswith("one paragraph, ")
    assert shape_of(one, "\n").startswith("2 to 4 steps, ")


def test_an_export_joins_labelled_steps_as_they_were_cut() -> None:
    steps = ("A is 3", "B is 4", "## Answer\n\n7")
    told = ExportSample(
        "w", "a", "q", "asked", "", (), {}, "train", steps=steps, labels=(1, 1, 1), step_separator="<step>"
    )
    (_, said) = layout("ms-swift").row(told, ())["messages"]
    assert said["content"] == "A is 3<step>B is 4\n\n## Answer\n\n7"


def test_what_is_kept_of_a_run_with_blank_lines_does_not_name_them() -> None:
    row, form = rollout([True]), PRESETS[PromptPreset.MSTAR]
    for kept, kind in ((row, RolloutRow), (form, PromptForm)):
        assert "step_separator" not in kept.model_dump_json()
        lines = kept.model_copy(update={"step_separator": "\n"})
        assert kind.model_validate_json(lines.model_dump_json()) == lines
        assert kind.model_validate_json(kept.model_dump_json()) == kept


def test_a_form_of_an_older_run_has_blank_lines_and_a_newer_one_hands_its_separator_on() -> None:
    old = PRESETS[PromptPreset.MSTAR].model_dump(exclude={"step_separator"})
    form = type(PRESETS[PromptPreset.MSTAR]).model_validate(old)
    assert form.step_separator == STEP_SEPARATOR
    newer = form.model_copy(update={"step_separator": "\n"})
    assert inherited(PromptRecipe(), newer).step_separator == "\n"
    assert inherited(PromptRecipe(step_separator="|"), newer).step_separator == "|"
