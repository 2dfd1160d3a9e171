"""What multiple-choice sets share: reading the columns, the prompt, and which option a response names.

The rule is VLMEvalKit's without a judge model (`can_infer` of its matching utilities): what it cannot match is wrong.
"""

import re
from collections.abc import Mapping, Sequence

from mstar.answers.options import LETTERS, options_of
from mstar.errors import InvalidDataset
from mstar.judges.benchmark import Item, Row

REFUSED = "Z"
"""VLMEvalKit's letter for "none of the options"."""
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_MARKS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_STATED = re.compile(r"answer\s+is\s+\**([ABCD])", re.IGNORECASE)
_ASK = "Please select the correct answer from the options above."
_LAST_WORDS = 4
"""A lone letter counts where at most this many words, itself included, are left from it on."""


def question_of(row: Row) -> str:
    """The question column. Raises InvalidDataset."""
    question = row.get("question")
    if not isinstance(question, str) or not question.strip():
        raise InvalidDataset("question is missing: the benchmark's file has a column 'question'", field="question")
    return question.strip()


def lettered_choice(row: Row) -> tuple[tuple[str, ...], str]:
    """Options and the right one's letter, where `answer` is that letter whatever the options say.

    Raises InvalidDataset.
    """
    found, letter = options_of(row), text_of(row, "answer").strip("()").upper()
    options = found.texts
    if (place := found.named(letter)) is not None:
        letter = LETTERS[place]
    if len(options) < 2:
        raise InvalidDataset("the options are missing: the file has choices or columns A to D", field="choices")
    if len(letter) != 1 or letter not in LETTERS[: len(options)]:
        raise InvalidDataset(
            f"answer {letter[:40]!r} is not the letter of one of {len(options)} options", field="answer"
        )
    return options, letter


def numbered_choice(row: Row) -> tuple[tuple[str, ...], str]:
    """Options and the right one's letter, where `answer` is its place from 0. Raises InvalidDataset."""
    options, place = options_of(row).texts, text_of(row, "answer")
    if len(options) < 2 or not place.isdigit() or int(place) >= len(options):
        raise InvalidDataset(
            f"answer {place[:40]!r} is not the place, from 0, of one of {len(options)} options", field="answer"
        )
    return options, LETTERS[int(place)]


def text_of(row: Row, *names: str) -> str:
    """The first column that has a text, without white space around; empty where none has one."""
    for name in names:
        value = row.get(name)
        if value is not None and value == value and str(value).strip():
            return str(value).strip()
    return ""


def choice_prompt(item: Item) -> str:
    """Hint, question and lettered options, as VLMEvalKit writes them for multiple-choice sets."""
    hint = f"Hint: {item.hint}\n" if item.hint else ""
    options = "".join(f"{letter}. {text}\n" for letter, text in zip(LETTERS, item.options, strict=False))
    lines = (f"{hint}Question: {item.question}", "Options:", options + _ASK)
    return "\n".join(lines)


def named_option(response: str, options: Sequence[str]) -> str | None:
    """Letter of the option that a response names; `Z` where it refuses; None where the rule finds none.

    In this order: one option letter alone, among the last few words; "answer is X" for A to D, without regard to case
    and to what follows the letter; in a response that is short beside the options, the one option whose text it holds.
    """
    letters = LETTERS[: len(options)]
    if any(refusal in response for refusal in _REFUSALS):
        return REFUSED
    words = response.translate(_MARKS).split()
    alone = [letter for letter in letters if letter in words]
    # `A` is an article too, so a lone letter counts near the end only.
    if len(alone) == 1 and words.index(alone[0]) > len(words) - _LAST_WORDS - 1:
        return alone[0]
    if not alone and REFUSED in words:
        return REFUSED
    stated = _STATED.search(response)
    if stated and stated[1].upper() in letters:
        return stated[1].upper()
    return _by_text(response, dict(zip(letters, options, strict=True)))


def _by_text(response: str, options: Mapping[str, str]) -> str | None:
    # A long text names options while it weighs them; VLMEvalKit draws the line at twice their length.
    if len(response) > 2 * sum(map(len, options.values())):
        return None
    text = response.lower()
    held = [letter for letter, option in options.items() if option.lower() in text]
    return held[0] if len(held) == 1 else None
