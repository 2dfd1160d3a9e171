"""Choices: which option a response names, by letter, by letter with text, or by text."""

import re
from collections.abc import Sequence

from mstar.answers.marks import bare, first_answer, plain
from mstar.errors import InvalidDataset
from mstar.types import Answer

_NAMED = re.compile(
    r"(?:(?:option|choice)\s+)?(?:[(\[](?P<bracketed>[A-Za-z])[)\]]|(?P<bare>[A-Z])(?=[.):,\s-]|$))[.):,]?\s*-?\s*(?P<text>.*)",
    re.DOTALL | re.IGNORECASE,
)
_WORD = re.compile(r"(?:option|choice)\s+", re.IGNORECASE)


def compare_choice(said: str, answer: Answer) -> str:
    """`equal`, `different` or `unreadable`. Options with the same text are one option.

    A bare letter that is also the text of another option says neither. Raises InvalidDataset for a reference answer
    that is no option's letter.
    """
    letters = [chr(ord("A") + place) for place in range(len(answer.choices))]
    gold = answer.value.strip("() .").upper()
    if len(gold) != 1 or (letters and gold not in letters):
        raise InvalidDataset(f"answer.value {answer.value!r} is not the letter of an option", field="answer.value")
    options = dict(zip(letters, map(plain, answer.choices), strict=True))
    said = bare(first_answer(said))
    named = {*_by_letter(said, options), *_by_text(said, options)}
    texts = {options.get(letter, letter) for letter in named}
    if len(texts) != 1:
        return "unreadable"
    return "equal" if texts == {options.get(gold, gold)} else "different"


def _by_letter(said: str, options: dict[str, str]) -> Sequence[str]:
    match = _NAMED.fullmatch(said)
    if match is None:
        return ()
    written = match["bracketed"] or match["bare"]
    if (
        match["bracketed"] is None
        and written.islower()
        and (match["text"] or not _WORD.match(said))
        and said != written
    ):
        return ()  # `a cat` is no letter
    letter = written.upper()
    if options and letter not in options:
        return ()
    text = plain(match["text"])
    return (letter,) if text in ("", options.get(letter)) else ()


def _by_text(said: str, options: dict[str, str]) -> Sequence[str]:
    text = plain(said)
    return [letter for letter, option in options.items() if option and option == text]
