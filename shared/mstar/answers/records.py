"""Reads the reference answer of a data set's row, in the columns that published sets have.

MathVista (`answer`, `choices`, `answer_type`, `precision`, `unit`), M3CoT and ScienceQA (`choices` with a letter or an
index), MMBench (`A` to `D` and a letter), AI2D (`options` with an index), and plain `question` with `answer`.
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from mstar.answers.choices import SEPARATOR
from mstar.answers.marks import bare, plain
from mstar.answers.numbers import read_number
from mstar.answers.rule import DEFAULT_RULE
from mstar.errors import InvalidDataset
from mstar.types import Answer, AnswerType

GOLD_COLUMNS = ("answer", "gold", "ground_truth", "target", "label", "solution")
CHOICE_COLUMNS = ("choices", "options", "candidates")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LETTER = re.compile(r"(?:option|choice|answer)?\s*[(\[]?\s*([A-Za-z])\s*[)\].:]?", re.IGNORECASE)
_LATEX = re.compile(r"\\[A-Za-z]+|[\^_]\{|[\^]\d|\$.*\$")
_FRACTION = re.compile(r"[+-]?\s*(?:\d+\s+)?\d+\s*/\s*\d+")
_POINT = re.compile(r"[(\[]\s*[+-]?(?:[\d./]+|∞)(?:\s*,\s*[+-]?(?:[\d./]+|∞))+\s*[)\]]")
"""Coordinates and intervals, which are no text that must be spaced alike."""
_NAMED = re.compile(r"\d+(?:0['\u2019]?s|(?:st|nd|rd|th)\b.*)", re.IGNORECASE)
"""Decades and places in an order: `1990s` is no number of seconds, `21st century` no 21 of anything."""
_KINDS = {
    "choice": AnswerType.CHOICE, "multi_choice": AnswerType.CHOICE, "multiple_choice": AnswerType.CHOICE,
    "multi-choice": AnswerType.CHOICE, "mcq": AnswerType.CHOICE, "option": AnswerType.CHOICE,
    "integer": AnswerType.INTEGER, "int": AnswerType.INTEGER, "float": AnswerType.FLOAT, "number": AnswerType.FLOAT,
    "decimal": AnswerType.FLOAT, "list": AnswerType.LIST, "text": AnswerType.TEXT, "string": AnswerType.TEXT,
    "math": AnswerType.MATH, "latex": AnswerType.MATH, "expression": AnswerType.MATH,
}  # fmt: skip


_OWN_LETTER = re.compile(r"(?:([A-Z])\s*[.):]|\(([A-Z])\))\s*(\S.*)", re.DOTALL)
_QUOTE = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_NUMPY = re.compile(rf"\[\s*({_QUOTE}(?:\s+{_QUOTE})+)\s*\]")
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
"""Python would join two quoted texts with nothing but a space between them to one."""


class ChoiceForm(StrEnum):
    """What a data set writes for the right option."""

    LETTER = "letter"
    INDEX = "index"
    TEXT = "text"


def answer_of(record: Mapping[str, Any], first_index: int = 0, choice_form: ChoiceForm | None = None) -> Answer:
    """The reference answer of a row. `first_index`: what the first option is called where options are numbered.

    `choice_form`: what stands for the right option; None takes any, unless two readings name different options.

    Raises InvalidDataset naming the column and what it should hold.
    """
    column = next((name for name in GOLD_COLUMNS if record.get(name) is not None), None)
    if column is None:
        raise InvalidDataset(f"the answer is missing: add a column {GOLD_COLUMNS[0]!r}", field="answer")
    value = _text(record[column], column)
    options = options_of(record)
    kind = _kind(record, value, options)
    unit, precision = record.get("unit") or None, _precision(record.get("precision"))
    if kind is AnswerType.CHOICE:
        form = choice_form or _form_of(record)
        value = _letter_of(record[column], value, options, column, first_index, form)
    elif kind in (AnswerType.INTEGER, AnswerType.FLOAT):
        value, unit, kind = _number(value, unit, kind, column)
    unit = None if unit is None else str(unit)
    try:
        return Answer(type=kind, value=value, choices=options, precision=precision, unit=unit)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = {"value": column}.get(str(first["loc"][0]), str(first["loc"][0]))
        raise InvalidDataset(f"{name}: {first['msg']}", field=name) from None


def _kind(record: Mapping[str, Any], value: str, options: Sequence[str]) -> AnswerType:
    """The type that the row names, else the one that its answer has. With options it is a choice, whatever they are."""
    named = record.get("answer_type") or record.get("question_type") or ""
    known = _KINDS.get(str(named).strip().casefold())
    if named and record.get("answer_type") and known is None:
        raise InvalidDataset(
            f"answer_type {str(named)[:40]!r} is unknown: use one of {', '.join(AnswerType)}", field="answer_type"
        )
    if options or known is AnswerType.CHOICE:
        return AnswerType.CHOICE
    return known if known is not None else _guessed(value)


def _guessed(value: str) -> AnswerType:
    """By the reader that also reads responses, so that what it can read as a number is compared as one."""
    text = bare(value)
    if re.fullmatch(r"\(?[A-Z]\)?", text):
        return AnswerType.CHOICE
    if text[:1] + text[-1:] == "[]":
        return AnswerType.LIST
    if _NAMED.fullmatch(text):
        return AnswerType.TEXT
    # Words count beside digits only: `$2.5 million` is a number, and the text `two` stays one.
    words = any(sign.isdigit() for sign in text)
    number = read_number(
        text,
        DEFAULT_RULE.model_copy(
            update={"assignments": False, "closed_forms": False, "number_words": words, "foreign_numbers": False}
        ),
    )
    if number is not None and "/" not in text.removesuffix(number.unit):
        return AnswerType.INTEGER if number.value.denominator == 1 and not number.places else AnswerType.FLOAT
    exact = _LATEX.search(value) or _FRACTION.fullmatch(text) or _POINT.fullmatch(text)
    return AnswerType.MATH if exact else AnswerType.TEXT


def _number(value: str, unit: Any, kind: AnswerType, column: str) -> tuple[str, Any, AnswerType]:
    """The value with its unit apart; an integer that is written `14.0` stays one."""
    number = read_number(value, DEFAULT_RULE)
    if number is None:
        raise InvalidDataset(
            f"{column} {value[:80]!r} is not a number: mend it, or set answer_type to text", field=column
        )
    if kind is AnswerType.INTEGER and number.value.denominator != 1:
        raise InvalidDataset(f"{column} {value[:80]!r} is not an integer: set answer_type to float", field=column)
    return value, unit or number.unit or None, kind


def _form_of(record: Mapping[str, Any]) -> ChoiceForm | None:
    """What the row's own columns say: MathVista gives texts, columns A to D go with a letter."""
    named = str(record.get("answer_type") or "").strip().casefold()
    if named in ("text", "string") or record.get("question_type") == "multi_choice":
        return ChoiceForm.TEXT
    lettered = not any(record.get(name) for name in CHOICE_COLUMNS)
    return ChoiceForm.LETTER if lettered or _KINDS.get(named) is AnswerType.CHOICE else None


def _letter_of(
    raw: Any, value: str, options: Sequence[str], column: str, first_index: int, form: ChoiceForm | None
) -> str:
    """The letter of the right option: by its text, its letter, or its index.

    Two readings that name different options are refused, unless it is known which form the set has.
    """
    readings = _readings(raw, value, options, first_index)
    if not readings and (several := _several(raw, value, options)):
        return several
    if form in readings:
        return readings[form]
    texts = [plain(option) for option in options]
    if len({texts[LETTERS.index(letter)] if options else letter for letter in readings.values()}) > 1:
        shown = " and ".join(f"the {form_} of option {letter}" for form_, letter in readings.items())
        raise InvalidDataset(
            f"{column} {value[:80]!r} is {shown}: set answer_type to choice for letters or to text for texts",
            field=column,
        )
    if readings:
        return next(iter(readings.values()))
    raise InvalidDataset(
        f"{column} {value[:80]!r} is none of the {len(options)} options: give an option's text, letter or index",
        field=column,
    )


def _several(raw: Any, value: str, options: Sequence[str]) -> str:
    """Letters of several options that are right together, as `A, C`, `AC` or a list of letters or texts; else empty."""
    parts = raw if isinstance(raw, (list, tuple)) else re.split(r"\s*[,;&/]\s*", value) if options else []
    if len(parts) == 1 and re.fullmatch(r"[A-Z]{2,8}", value):
        parts = list(value)
    texts = [plain(option) for option in options]
    letters = []
    for part in map(str, parts):
        letter = _LETTER.fullmatch(bare(part))
        if plain(part) in texts:
            letters.append(LETTERS[texts.index(plain(part))])
        elif letter and LETTERS.index(letter[1].upper()) < len(options):
            letters.append(letter[1].upper())
        else:
            return ""
    return SEPARATOR.join(sorted(letters)) if len(set(letters)) == len(letters) > 1 else ""


def _readings(raw: Any, value: str, options: Sequence[str], first_index: int) -> dict[ChoiceForm, str]:
    """Which option each form of writing it would name."""
    found: dict[ChoiceForm, str] = {}
    texts = [plain(option) for option in options]
    if plain(value) in texts:
        found[ChoiceForm.TEXT] = LETTERS[texts.index(plain(value))]
    letter = _LETTER.fullmatch(bare(value))
    if letter and (not options or LETTERS.index(letter[1].upper()) < len(options)):
        found[ChoiceForm.LETTER] = letter[1].upper()
    lettered = _OWN_LETTER.fullmatch(value)
    own = (lettered[1] or lettered[2]) if lettered else ""
    if lettered and own in LETTERS[: len(options)] and plain(lettered[3]) == texts[LETTERS.index(own)]:
        found[ChoiceForm.LETTER] = own
    if re.fullmatch(r"\d{1,2}(?:\.0)?", value) and not isinstance(raw, bool):
        place = int(float(value)) - first_index
        if 0 <= place < len(options):
            found[ChoiceForm.INDEX] = LETTERS[place]
    return found


def options_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Option texts in their order; empty where the row has none. Raises InvalidDataset."""
    raw = next((record[name] for name in CHOICE_COLUMNS if record.get(name)), None)
    if raw is None:
        lettered = [record[letter] for letter in LETTERS[:8] if not _missing(record.get(letter))]
        return tuple(map(str, lettered)) if len(lettered) > 1 else ()
    if isinstance(raw, str):
        raw = _parsed(raw)
    if isinstance(raw, Mapping):
        raw = _of_mapping(raw)
    if isinstance(raw, str) or not isinstance(raw, Sequence) or len(raw) > len(LETTERS):
        raise InvalidDataset("choices must be a list of texts, 26 at most", field="choices")
    options = tuple(_text(_option(option), "choices") for option in raw)
    return tuple(_without_letters(options))


def _of_mapping(raw: Mapping[str, Any]) -> Any:
    """Texts of `{"text": […], "label": […]}` (ARC), or of `{"A": …, "B": …}` in the order of their letters."""
    if isinstance(raw.get("text"), Sequence) and "text" in raw:
        return raw["text"]
    # An answer `B` means the option of that name, wherever it stands in the object.
    names = sorted(raw, key=lambda name: (len(str(name)), str(name)))
    return [raw[name] for name in names]


def _option(option: Any) -> Any:
    """The text of `{"label": "A", "text": "cat"}`; anything else as it is."""
    if isinstance(option, Mapping):
        return next((option[name] for name in ("text", "value", "content") if option.get(name) is not None), None)
    return option


def _without_letters(options: Sequence[str]) -> Sequence[str]:
    """Without `A.` or `(A)` in front, where each option has its own letter there."""
    found = [_OWN_LETTER.fullmatch(option) for option in options]
    if len(options) < 2 or not all(
        match and (match[1] or match[2]) == letter for match, letter in zip(found, LETTERS, strict=False)
    ):
        return options
    return [match[3] for match in found if match]


def _missing(value: Any) -> bool:
    return value is None or value == "" or value != value  # a float that is not itself is a table's empty cell


def _parsed(text: str) -> Any:
    """A list that a table holds as text, in JSON, as Python or numpy writes it, or with a lettered option a line."""
    if (found := _NUMPY.fullmatch(text.strip())) is not None:
        return [one or other for one, other in _QUOTED.findall(found[1])]
    lines = [line.strip() for line in text.strip().split("\n") if line.strip()]
    if len(lines) > 1 and list(_without_letters(lines)) != lines:
        return lines
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return text


def _text(value: Any, column: str) -> str:
    """A JSON scalar or list as the text of an answer: true is `True`, 1e-07 is `0.0000001`."""
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise InvalidDataset(f"{column} is not a finite number", field=column)
        return f"{value:.12f}".rstrip("0").rstrip(".") if value and abs(value) < 1e-4 else repr(value)
    if isinstance(value, Decimal | date | time):
        return str(value)
    if isinstance(value, (list, tuple)):
        return json.dumps(list(value), ensure_ascii=False)
    if not isinstance(value, (str, int)):
        raise InvalidDataset(f"{column} must be a text, a number or a list", field=column)
    text = str(value).strip()
    if not text:
        raise InvalidDataset(f"{column} is empty", field=column)
    return text


def _precision(value: Any) -> int | None:
    if _missing(value):
        return None
    try:
        places = int(float(value))
    except (TypeError, ValueError):
        raise InvalidDataset(f"precision {str(value)[:40]!r} is not a number of decimals", field="precision") from None
    if not 0 <= places <= 12:
        raise InvalidDataset(f"precision {places} must be between 0 and 12", field="precision")
    return places
