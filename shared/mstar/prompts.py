r"""Builds the prompt of a question: one function for sampling, labels, scoring, training, evaluation and exports.

A recipe's `prompt` section (`PromptRecipe`) names a preset and what it changes of it; `prompt_form` makes it the whole
form (`PromptForm`). A form also says where the answer is found, so the words that ask for a layout and the rule that
reads it cannot drift apart. What this leaves out: images, chat templates and tokens (`mstar_models`).
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from pydantic import Field, field_validator

from mstar.answers.rule import AnswerPlace
from mstar.layout import STEP_SEPARATOR, Separator, is_blank_line
from mstar.types import Answer, AnswerType, Frozen, Question

MAX_WORDS = 4096
PROMPT_FILE = "mstar_prompt.json"
"""In the folder of a policy or PRM that a run has left: the form in which it was asked."""
BUILTIN_MODELS = "builtin:"
"""How the names of the models that ship begin."""


class PromptPreset(StrEnum):
    """Forms that have a name."""

    MSTAR = "mstar"
    """Asks in words for steps with blank lines between them and the paper's answer heading."""
    BOXED = "boxed"
    r"""The same with the answer in `\boxed{…}`."""
    MATHVISTA = "mathvista"
    """MathVista's official query: hint, question, choices. The answer is the last line."""
    MINIVISTA = "minivista"
    """The bare question, for models that were trained on the layout, such as the one that ships."""


class Side(StrEnum):
    """Where the instruction stands."""

    BEFORE = "before"
    AFTER = "after"


class OptionStyle(StrEnum):
    """How the options of a choice question are shown, a line each."""

    HIDDEN = "hidden"
    PARENTHESES = "parentheses"
    """`(A) red`"""
    DOTS = "dots"
    """`A. red`"""


class PromptForm(Frozen):
    """All that a prompt is made of. In `question`, `instruction` and `reference`, names in braces are filled in."""

    preset: PromptPreset
    system: str
    question: str
    options: OptionStyle
    options_title: str
    instruction: str
    instruction_side: Side
    reference: str
    between: str
    answer: AnswerPlace
    step_separator: Separator = Field(default=STEP_SEPARATOR, exclude_if=is_blank_line)


class PromptRecipe(Frozen):
    """How questions are put to the model and where its answer is found. What is left out is the preset's."""

    preset: PromptPreset | None = None
    """`mstar`, `boxed`, `mathvista` or `minivista`. Default: `minivista` for the models that ship, else `mstar`."""
    system: str | None = Field(default=None, max_length=MAX_WORDS)
    """The system turn; empty for none."""
    question: str | None = Field(default=None, max_length=MAX_WORDS)
    """How the question is written: text with `{question}`, and optionally `{unit}`."""
    options: OptionStyle | None = None
    """How the options of a multiple-choice question are shown below it, unless its text shows them already."""
    options_title: str | None = Field(default=None, max_length=200)
    """A line above the options."""
    instruction: str | None = Field(default=None, max_length=MAX_WORDS)
    """What the model is asked to do; `{layout}`, `{answer_form}` and `{hint}` are filled in. Empty for none."""
    instruction_side: Side | None = None
    """Whether the instruction comes before or after the question."""
    reference: str | None = Field(default=None, max_length=MAX_WORDS)
    """How the reference answer is given in warm-up, last in the prompt: text with `{answer}`."""
    between: str | None = Field(default=None, min_length=1, max_length=20)
    """Separator between question, options, instruction and reference."""
    answer: AnswerPlace | None = None
    """Where the answer is found; `{layout}` asks for it there."""
    step_separator: Separator | None = None
    """Separator between two steps of a response, at which it is cut for labels, training and scores; `{layout}` asks
    for it. Default: a blank line."""

    @field_validator("question", "reference")
    @classmethod
    def _names(cls, text: str | None, info: Any) -> str | None:
        wanted = {"question": "{question}", "reference": "{answer}"}[info.field_name]
        if text is not None and wanted not in text:
            raise ValueError(f"must hold {wanted}, which stands for the {info.field_name} itself")
        return text


_STEPS = "Reason step by step. {steps} "
_LAYOUTS = {
    AnswerPlace.HEADING: _STEPS + 'Then write the heading "## Answer" on a line of its own, a blank line, and below it '
    "the final answer only: {answer_form}.",
    AnswerPlace.BOXED: _STEPS + "Then give the final answer inside \\boxed{}: {answer_form}.",
    AnswerPlace.ANSWER_TAG: _STEPS + "Then give the final answer between <answer> and </answer>: {answer_form}.",
    AnswerPlace.LAST_LINE: _STEPS + "Then write the final answer alone on the last line: {answer_form}.",
    AnswerPlace.LETTER: _STEPS + "Then write the letter of the right option alone on the last line.",
}
_MSTAR = PromptForm(
    preset=PromptPreset.MSTAR,
    system="",
    question="{question}",
    options=OptionStyle.PARENTHESES,
    options_title="",
    instruction="{layout}",
    instruction_side=Side.AFTER,
    reference="Reference answer: {answer}\n\nThe reference answer is right. Write the reasoning that leads to it from "
    "the image and the question, as if it were not given, and end with it in the layout that is asked for.",
    between="\n\n",
    answer=AnswerPlace.HEADING,
)
PRESETS = {
    PromptPreset.MSTAR: _MSTAR,
    PromptPreset.BOXED: _MSTAR.model_copy(update={"preset": PromptPreset.BOXED, "answer": AnswerPlace.BOXED}),
    PromptPreset.MATHVISTA: _MSTAR.model_copy(
        update={
            "preset": PromptPreset.MATHVISTA,
            "question": "Question: {question}{unit}",
            "options_title": "Choices:",
            "instruction": "Hint: {hint}",
            "instruction_side": Side.BEFORE,
            "between": "\n",
            "answer": AnswerPlace.LAST_LINE,
        }
    ),
    PromptPreset.MINIVISTA: PromptForm(
        preset=PromptPreset.MINIVISTA,
        system="",
        question="{question}",
        options=OptionStyle.HIDDEN,
        options_title="",
        instruction="",
        instruction_side=Side.AFTER,
        reference="Reference answer: {answer}",
        between="\n\n",
        answer=AnswerPlace.HEADING,
    ),
}


def prompt_form(recipe: PromptRecipe, base: str) -> PromptForm:
    """The whole form: the preset, by default that of the base model, with what the recipe changes of it."""
    default = PromptPreset.MINIVISTA if base.startswith(BUILTIN_MODELS) else PromptPreset.MSTAR
    form = PRESETS[recipe.preset or default]
    given = {name: value for name, value in recipe if value is not None}
    return form.model_copy(update=given)


def inherited(recipe: PromptRecipe, form: PromptForm) -> PromptRecipe:
    """The recipe of a run that begins with a model that was asked in this form; a preset of its own starts anew."""
    if recipe.preset is not None:
        return recipe
    given = {name: value for name, value in recipe if value is not None}
    return PromptRecipe(**{**form.model_dump(), **given})


def prompt_text(question: Question, form: PromptForm, *, with_reference: bool = False) -> str:
    """The text of the user turn; `with_reference` adds the reference answer, as warm-up shows it.

    No part is empty, and parts are joined by the form's separator: instruction, question, options, instruction,
    reference. Raises ValueError where the reference of an unlabelled question is asked for.
    """
    answer = question.answer
    instruction = instruction_text(form, answer)
    unit = f" (Unit: {answer.unit})" if answer and answer.unit else ""
    asked = _filled(form.question, {"question": lambda: question.text, "unit": lambda: unit})
    parts = [asked, _options(question.text, answer, form)]
    parts = [instruction, *parts] if form.instruction_side is Side.BEFORE else [*parts, instruction]
    if with_reference:
        if answer is None:
            raise ValueError(f"question {question.id} has no reference answer to show")
        parts.append(_filled(form.reference, {"answer": lambda: answer.value}))
    return form.between.join(part for part in parts if part)


def instruction_text(form: PromptForm, answer: Answer | None) -> str:
    """What the model is asked to do, for an answer of this type; empty where the form has no instruction."""
    return _filled(form.instruction, _words(form, answer))


def shows_options(text: str, options: tuple[str, ...]) -> bool:
    """Whether a question's own text lists every option after its letter, in order."""
    place = 0
    for letter, option in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", options, strict=False):
        shown = re.compile(rf"(?:\(\s*{letter}\s*\)|\b{letter}\s*[.):])\s*{re.escape(option.strip())}(?!\w)")
        found = shown.search(text, place)
        if found is None:
            return False
        # In order: a text that talks of option B before option A does not list them.
        place = found.end()
    return bool(options)


def _options(text: str, answer: Answer | None, form: PromptForm) -> str:
    choices = answer.choices if answer else ()
    if form.options is OptionStyle.HIDDEN or not choices or shows_options(text, choices):
        return ""
    style = "({}) {}" if form.options is OptionStyle.PARENTHESES else "{}. {}"
    lines = [style.format(chr(ord("A") + place), option) for place, option in enumerate(choices)]
    return "\n".join([form.options_title, *lines] if form.options_title else lines)


def _words(form: PromptForm, answer: Answer | None) -> dict[str, Callable[[], str]]:
    own: dict[str, Callable[[], str]] = {"answer_form": lambda: answer_form(answer), "hint": lambda: _hint(answer)}
    # A word of the layout's own: in an instruction that somebody wrote, `{steps}` is text.
    layout = {"steps": lambda: _between_steps(form.step_separator), **own}
    return {"layout": lambda: _filled(_LAYOUTS[form.answer], layout), **own}


def _between_steps(separator: str) -> str:
    """How steps are kept apart, in words."""
    if separator == STEP_SEPARATOR:
        return "Write each step as a paragraph of its own, with a blank line between two steps."
    if separator == "\n":
        return "Write each step on a line of its own."
    shown = f'"{separator.strip()}"' + (" on a line of its own" if separator.startswith("\n") else "")
    return f"Write {shown} between two steps."


def _filled(template: str, words: dict[str, Callable[[], str]]) -> str:
    """The template with each known name in braces replaced, once; all other braces stay as they are."""
    # Not str.format: a template may hold braces of LaTeX, and filled-in text is never read for names again.
    names = "|".join(map(re.escape, words))
    return re.sub(rf"\{{({names})\}}", lambda match: words[match[1]](), template)


def answer_form(answer: Answer | None) -> str:
    """What a bare answer of this type looks like, in words."""
    if answer is None:
        return "the answer without further words"
    unit = f" in {answer.unit}" if answer.unit else ""
    if answer.type is AnswerType.CHOICE and "," in answer.value:
        return "the letters of all right options with commas between"
    if answer.type is AnswerType.FLOAT and answer.precision is not None:
        return f"a number with {_decimals(answer.precision)}{unit}"
    return _FORMS[answer.type] + unit


_FORMS = {
    AnswerType.CHOICE: "the letter of the right option",
    AnswerType.INTEGER: "a whole number",
    AnswerType.FLOAT: "a number",
    AnswerType.LIST: "a list in square brackets",
    AnswerType.TEXT: "a word or a short phrase",
    AnswerType.MATH: "a mathematical expression",
}


def _hint(answer: Answer | None) -> str:
    """MathVista's hint for the type of the answer (lupantech/MathVista, evaluation/build_query.py)."""
    if answer is None or answer.type in (AnswerType.TEXT, AnswerType.MATH):
        return "Please answer the question and provide the final value at the end."
    if answer.type is AnswerType.CHOICE:
        return "Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end."
    if answer.type is AnswerType.LIST:
        asked, example = "a Python list as an answer", "list, e.g., [1, 2, 3], [1.2, 1.3, 1.4]"
    elif answer.type is AnswerType.INTEGER:
        asked, example = "an integer answer", "value, e.g., 1, 2, 3"
    else:
        # MathVista has floats of one and two decimals only; without a precision its hint for two is given.
        places = answer.precision or 2
        numbers = ", ".join(f"{value:.{places}f}" for value in ((1.2, 1.3, 1.4) if places == 1 else (1.23, 1.34, 1.45)))
        asked, example = f"a floating-point number with {_decimals(places, ' place')}", f"value, e.g., {numbers}"
    return f"Please answer the question requiring {asked} and provide the final {example}, at the end."


def _decimals(places: int, noun: str = "") -> str:
    named = {0: "no", 1: "one", 2: "two", 3: "three"}.get(places, str(places))
    return f"{named} decimal{noun}" + ("" if places == 1 else "s")
