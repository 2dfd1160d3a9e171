"""How questions are put: presets, what a recipe changes, and what never moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.answers import AnswerPlace, check
from mstar.errors import InvalidRecipe
from mstar.prompts import PRESETS, PromptPreset, PromptRecipe, prompt_form, prompt_text, shows_options
from mstar.recipes import Recipe, parse_recipe
from mstar.types import Answer, AnswerType, Question

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=40).filter(str.strip)
OPTIONS = st.lists(st.text("abcdefgh ", min_size=1, max_size=8).filter(str.strip), min_size=2, max_size=6)


def question(text: str = "How many bars?", **answer: object) -> Question:
    gold = Answer.model_validate({"type": "integer", "value": "61", **answer})
    return Question(id="q", text=text, images=("0" * 64,), answer=gold)


def choice(text: str = "Which?", *options: str) -> Question:
    return question(text, type="choice", value="B", choices=options or ("red", "blue"))


def form_of(base: str = "/models/own", **prompt: object) -> Recipe:
    return parse_recipe({"name": "x", "model": {"base": base}, "prompt": prompt})


@given(WORDS, st.booleans())
def test_the_model_that_ships_sees_the_bare_question(text: str, with_reference: bool) -> None:
    """It was taught on these bytes; another one would move every number of the demo."""
    form = form_of("builtin:minivista").form
    behind = "\n\nReference answer: B" if with_reference else ""
    assert prompt_text(choice(text), form, with_reference=with_reference) == text + behind
    assert (form.system, form.answer) == ("", AnswerPlace.HEADING)


def test_other_models_are_asked_for_the_layout_in_words() -> None:
    text = prompt_text(choice(), form_of().form)
    assert text.startswith("Which?\n\n(A) red\n(B) blue\n\n")
    assert 'the heading "## Answer"' in text
    assert text.endswith("the letter of the right option.")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({}, "a whole number."),
        ({"unit": "cm"}, "a whole number in cm."),
        ({"type": "float", "value": "1.5", "precision": 1}, "a number with one decimal."),
        ({"type": "float", "value": "1.5", "precision": 2, "unit": "$"}, "a number with two decimals in $."),
        ({"type": "list", "value": "[1]"}, "a list in square brackets."),
        ({"type": "text", "value": "red"}, "a word or a short phrase."),
        ({"type": "math", "value": "x+1"}, "a mathematical expression."),
    ],
)
def test_the_form_of_the_answer_is_asked_for(answer: dict[str, object], words: str) -> None:
    assert prompt_text(question(**answer), form_of().form).endswith(f": {words}")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("heading", "## Answer"),
        ("boxed", "\\boxed{}"),
        ("answer_tag", "<answer> and </answer>"),
        ("last_line", "alone on the last line"),
        ("letter", "letter of the right option alone on the last line"),
    ],
)
def test_the_words_follow_the_place_where_the_answer_is_looked_for(place: str, words: str) -> None:
    form = form_of(answer=place).form
    assert form.answer.value == place
    assert words in prompt_text(choice(), form)


def test_mathvista_is_its_official_query() -> None:
    form = PRESETS[PromptPreset.MATHVISTA]
    one = question("What is the length?", type="float", value="1.2", precision=1, unit="cm")
    assert prompt_text(one, form) == (
        "Hint: Please answer the question requiring a floating-point number with one decimal place and provide "
        "the final value, e.g., 1.2, 1.3, 1.4, at the end.\nQuestion: What is the length? (Unit: cm)"
    )
    assert prompt_text(choice(), form) == (
        "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.\n"
        "Question: Which?\nChoices:\n(A) red\n(B) blue"
    )
    assert "with two decimal places and provide the final value, e.g., 1.23, 1.34, 1.45" in prompt_text(
        question(type="float", value="1.23", precision=2), form
    )


def test_everything_of_a_preset_can_be_changed() -> None:
    form = form_of(
        preset="boxed",
        system="Be exact.",
        question="Q: {question}",
        options="dots",
        options_title="Options:",
        instruction="Answer in {answer_form}.",
        instruction_side="before",
        reference="It is {answer}.",
    ).form
    assert form.system == "Be exact."
    assert prompt_text(choice(), form, with_reference=True) == (
        "Answer in the letter of the right option.\n\nQ: Which?\n\nOptions:\nA. red\nB. blue\n\nIt is B."
    )


@pytest.mark.parametrize(
    ("field", "text"),
    [("question", "no place for it"), ("reference", "the answer"), ("preset", "own"), ("answer", "anywhere")],
)
def test_a_bad_field_is_named(field: str, text: str) -> None:
    with pytest.raises(InvalidRecipe, match=rf"prompt\.{field}"):
        form_of(**{field: text})


@given(WORDS, OPTIONS, st.sampled_from(list(PromptPreset)))
def test_the_reference_answer_is_shown_in_warm_up_only(text: str, options: list[str], preset: PromptPreset) -> None:
    """Two questions that differ in their reference answer only have the same prompt."""
    first = choice(text, *options)
    assert first.answer is not None
    other = first.model_copy(update={"answer": first.answer.model_copy(update={"value": "A"})})
    form = PRESETS[preset]
    assert prompt_text(first, form) == prompt_text(other, form)
    assert prompt_text(first, form, with_reference=True).startswith(prompt_text(first, form))
    assert prompt_text(first, form, with_reference=True) != prompt_text(other, form, with_reference=True)


@given(st.text("{}questionunitanswer_formlayouthint \\", max_size=30).filter(str.strip))
def test_braces_in_a_question_are_left_alone(text: str) -> None:
    for form in PRESETS.values():
        assert text in prompt_text(question(text), form)


@given(WORDS, OPTIONS)
def test_options_are_shown_once(text: str, options: list[str]) -> None:
    """A question whose text has its options already, in any usual style, does not get them again."""
    form = PRESETS[PromptPreset.MSTAR]
    for style in ("({}) {}", "{}. {}", "{}: {}", "{}) {}"):
        own = "\n".join(style.format("ABCDEF"[place], option) for place, option in enumerate(options))
        assert shows_options(f"Which?\n{own}", tuple(options))
        assert prompt_text(choice(f"Which?\n{own}", *options), form).count("\n(A) ") == own.startswith("(A)")
    assert not shows_options("Which one is it", tuple(options))


def test_a_recipe_says_where_the_answer_is_and_how_strict_the_check_is() -> None:
    recipe = parse_recipe({"name": "x", "prompt": {"answer": "boxed"}, "answers": {"number_words": False}})
    gold = Answer(type=AnswerType.INTEGER, value="2")
    assert check("So \\boxed{2}", gold, recipe.answers, recipe.form.answer).correct
    assert not check("So \\boxed{two}", gold, recipe.answers, recipe.form.answer).correct
    assert not check("## Answer\n\n2", gold, recipe.answers, recipe.form.answer).correct


def test_a_form_is_the_preset_where_nothing_is_changed() -> None:
    for preset in PromptPreset:
        assert prompt_form(PromptRecipe(preset=preset), "/models/own") == PRESETS[preset]
