"""Reads the reference answer of a data set's row, in the columns that published sets have.

MathVista (`answer`, `choices`, `answer_type`, `precision`, `unit`), M3CoT and ScienceQA (`choices` with a letter or an
index), MMBench (`A` to `D` and a letter), AI2D (`options` with an index), ChartQA (`label`), DocVQA and VQA (`answers`
of several people), OlympiadBench (`final_answer`, all of which count), and plain `question` with `answer`.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from mstar.answers.choices import SEPARATOR
from mstar.answers.find import find_answer
from mstar.answers.marks import bare, plain, spaced_once
from mstar.answers.numbers import read_number
from mstar.answers.options import (
    CHOICE_COLUMNS,
    LETTERS,
    Options,
    cell_text,
    missing,
    options_of,
    own_mark,
    parsed,
)
from mstar.answers.rule import DEFAULT_RULE, AnswerPlace
from mstar.answers.units import contradict, is_known, is_variable
from mstar.errors import InvalidDataset
from mstar.types import Answer, AnswerType

GOLD_COLUMNS = (
    "answer", "gold", "ground_truth", "target", "final_answer", "multiple_choice_answer", "answers", "correct_answer",
    "correct_choice_idx", "label", "solution", "gt",
)  # fmt: skip
QUESTION_COLUMNS = ("question", "query", "prompt", "problem", "problem_text", "instruction")
_LETTER = re.compile(r"(?:option|choice|answer)?\s*[(\[]?\s*([A-Za-z])\s*[)\].:]?", re.IGNORECASE)
_LATEX = re.compile(r"\\[A-Za-z]+|[\^_]\{|[\^]\d|\$.*\$|[π√]")
_FRACTION = re.compile(r"[+-]?\s*(?:\d+\s+)?\d+\s*/\s*\d+")
_POINT = re.compile(r"[(\[]\s*[+-]?(?:[\d./]+|∞)(?:\s*,\s*[+-]?(?:[\d./]+|∞))+\s*[)\]]")
"""Coordinates and intervals, which are no text that must be spaced alike."""
_ENDLESS = re.compile(r"∞|\\infty")
_WORDS_ONLY = re.compile(r"\$?\\text(?:bf)?\{[^{}$\\]*\}\$?")
_CALLED = re.compile(r"^(\$?)\s*\\text\s*\{\s*[A-Za-z ]{4,40}\}\s*=\s*(?=[\d.])")
"""MathVerse's `\\text{Area }=32.99 \\mathrm{~cm}^2`."""
_SET = re.compile(r"\\?\{\s*[+-]?[\d./]+(?:\s*,\s*[+-]?[\d./]+)+\s*\\?\}")
_FORMULA = re.compile(
    r"(?=.*[=<>≤≥+∪]|.*[\w)]\s-\s[\w(]|\d+[a-z]$)(?=.*[A-Za-z])(?:(?<![A-Za-z])[A-Za-z](?![A-Za-z])|[\d\s.,()^*/+=<>≤≥∪-])+"
)
"""Equations, inequalities and sums, whose variables are single letters: `y = 2x + 1`, `x>3`."""
_FOREIGN = re.compile(r"\d[.' ]\d{3},\d|\d(?:[.' ]\d{3}){2}(?!\d)|\d,\d{1,2}\s*[%€]|€\s*\d+,\d{1,2}$")
"""Numbers that can only be another country's; `3,14` alone may be a list."""
_NAMED = re.compile(r"\d+(?:0['\u2019]?s|(?:st|nd|rd|th)\b.*)", re.IGNORECASE)
"""Decades and places in an order: `1990s` is no number of seconds, `21st century` no 21 of anything."""
_ION = re.compile(r"(?:[A-Z][a-z]?\d?){1,4}\^\{?\d?[+-]\}?")
"""`SO4^2-`: its charge is no power."""
_KINDS = {
    "choice": AnswerType.CHOICE, "multi_choice": AnswerType.CHOICE, "multiple_choice": AnswerType.CHOICE,
    "multi-choice": AnswerType.CHOICE, "mcq": AnswerType.CHOICE, "option": AnswerType.CHOICE,
    "integer": AnswerType.INTEGER, "int": AnswerType.INTEGER, "float": AnswerType.FLOAT, "number": AnswerType.FLOAT,
    "decimal": AnswerType.FLOAT, "list": AnswerType.LIST, "text": AnswerType.TEXT, "string": AnswerType.TEXT,
    "math": AnswerType.MATH, "latex": AnswerType.MATH, "expression": AnswerType.MATH, "equation": AnswerType.MATH,
    "tuple": AnswerType.MATH, "interval": AnswerType.MATH,
}  # fmt: skip
_NO_KINDS = ("numerical", "other", "yes/no", "unanswerable")
"""What OlympiadBench, VQA and VizWiz say in `answer_type` of answers that are of several types."""


_LONGEST_BARE = 80
"""Characters; a longer text with a box in it is a solution."""


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
    raw = _single(record[column], column)
    # MMMU lists spellings of one answer, of which each is right.
    if record.get("question_type") == "open" and isinstance(raw, str) and isinstance(several := parsed(raw), list):
        raw = next(iter(several), raw)
    value = _reference(cell_text(raw, column))
    options = options_of(record)
    if missing(value) and value not in options.texts:
        raise InvalidDataset(f"{column} is {value!r}, which tables write for an empty cell: mend it", field=column)
    # A list of the format is no text in brackets, which may be an interval.
    listed = isinstance(raw, (list, tuple)) and value.startswith("[")
    kind = _kind(record, value, options.texts, listed=listed)
    unit, precision = _unit(record.get("unit")), precision_of(record.get("precision"))
    if kind is AnswerType.CHOICE:
        form = choice_form or _form_of(record)
        value = _letter_of(raw, value, options, column, first_index, form)
    elif kind in (AnswerType.INTEGER, AnswerType.FLOAT):
        value, unit, kind = _number(value, unit, kind, column)
    try:
        return Answer(type=kind, value=value, choices=options.texts, precision=precision, unit=unit)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = {"value": column}.get(str(first["loc"][0]), str(first["loc"][0]))
        raise InvalidDataset(f"{name}: {first['msg']}", field=name) from None


def question_in(record: Mapping[str, Any]) -> str:
    """The text of a row's question, empty where no known column has one."""
    return next((str(record[name]) for name in QUESTION_COLUMNS if isinstance(record.get(name), str)), "")


def _single(raw: Any, column: str) -> Any:
    """A list of one as that one, what most people answered, and several solutions as the set of them."""
    if not isinstance(raw, (list, tuple)) or not raw:
        return raw
    if column == "answers":
        said = [one.get("answer") if isinstance(one, Mapping) else one for one in raw]
        counts = Counter(plain(str(one)) for one in said)
        return max(said, key=lambda one: counts[plain(str(one))])
    if len(raw) == 1 and isinstance(raw[0], (str, int, float)):
        return raw[0]
    if column == "final_answer":
        return rf"\{{{', '.join(bare(cell_text(one, column)) for one in raw)}\}}"
    return raw


def _kind(record: Mapping[str, Any], value: str, options: Sequence[str], *, listed: bool) -> AnswerType:
    """The type that the row names, else the one that its answer has. With options it is a choice, whatever they are."""
    named = record.get("answer_type") or record.get("question_type") or ""
    name = str(named).strip().casefold()
    # VQA's `number` is what a question asks for, and some people answer `lots`.
    asked = name == "number" and "answers" in record
    known = None if asked else _KINDS.get(name)
    if named and record.get("answer_type") and known is None and not asked and name not in _NO_KINDS:
        raise InvalidDataset(
            f"answer_type {str(named)[:40]!r} is unknown: use one of {', '.join(AnswerType)}", field="answer_type"
        )
    if options or known is AnswerType.CHOICE:
        return AnswerType.CHOICE
    if known is None and listed:
        return AnswerType.LIST
    if known is None and _FRACTION.fullmatch(value) and not missing(record.get("unit")):
        return AnswerType.FLOAT
    return known if known is not None else _guessed(value)


def _guessed(value: str) -> AnswerType:
    """By the reader that also reads responses, so that what it can read as a number is compared as one."""
    text = bare(value)
    if re.fullmatch(r"\(?[A-Z]\)?", text):
        return AnswerType.CHOICE
    # With an infinity it is an interval, whose brackets have a meaning.
    if text[:1] + text[-1:] == "[]" and not _ENDLESS.search(text) and not _ascending(text):
        return AnswerType.LIST
    if _NAMED.fullmatch(text) or _ION.fullmatch(text):
        return AnswerType.TEXT
    # Words count beside digits only: `$2.5 million` is a number, and the text `two` stays one.
    words = any(sign.isdigit() for sign in text)
    if _WORDS_ONLY.fullmatch(value):
        value = text
    number = read_number(
        text,
        DEFAULT_RULE.model_copy(
            update={
                "assignments": False,
                "closed_forms": False,
                "number_words": words,
                "foreign_numbers": bool(_FOREIGN.search(text)),
            }
        ),
    )
    if number is not None and "/" not in text.removesuffix(number.unit) and not is_variable(number.unit):
        return AnswerType.INTEGER if number.value.denominator == 1 and not number.places else AnswerType.FLOAT
    if number is not None and _FRACTION.fullmatch(text.removesuffix(number.unit).strip()) and is_known(number.unit):
        return AnswerType.FLOAT
    exact = _LATEX.search(value) or _FRACTION.fullmatch(text) or _POINT.fullmatch(text) or _ENDLESS.search(text)
    return AnswerType.MATH if exact or _formulas(text) or _SET.fullmatch(text) else AnswerType.TEXT


def _formulas(text: str) -> bool:
    """Whether this is a formula, or several of which each may be right: `x = -2 or x = 5`."""
    return all(_FORMULA.fullmatch(part) for part in re.split(r"\s+(?:or|and)\s+", text))


def _ascending(text: str) -> bool:
    """Whether `[2, 5]` may be a closed interval, so that its brackets count."""
    ends = [read_number(part, DEFAULT_RULE) for part in text[1:-1].split(",")]
    return len(ends) == 2 and ends[0] is not None and ends[1] is not None and ends[0].value < ends[1].value


def _unit(value: Any) -> str | None:
    """The text of a unit, None for an empty cell. Raises InvalidDataset for what can be none, such as a number."""
    if missing(value):
        return None
    # Nor is `5` a unit where a table holds it as a text.
    if not isinstance(value, str) or not re.search(r"[^\W\d_]|[^\w\s.,+-]", value):
        shown = repr(value)[:40]
        raise InvalidDataset(f"unit {shown} is no unit: give its name, such as 'cm', or leave it out", field="unit")
    return value


def _number(value: str, unit: str | None, kind: AnswerType, column: str) -> tuple[str, str | None, AnswerType]:
    """The value with its unit apart; an integer that is written `14.0` stays one."""
    number = read_number(value, DEFAULT_RULE)
    if number is None:
        raise InvalidDataset(
            f"{column} {value[:80]!r} is not a number: mend it, or set answer_type to text", field=column
        )
    if kind is AnswerType.INTEGER and number.value.denominator != 1:
        raise InvalidDataset(f"{column} {value[:80]!r} is not an integer: set answer_type to float", field=column)
    if unit and number.unit and contradict(number.unit, unit):
        raise InvalidDataset(
            f"{column} {value[:80]!r} is in {number.unit}, and unit says {unit[:40]!r}: mend one of them",
            field="unit",
        )
    return value, unit or number.unit or None, kind


def _form_of(record: Mapping[str, Any]) -> ChoiceForm | None:
    """What the row's own columns say: MathVista gives texts, columns A to D go with a letter."""
    named = str(record.get("answer_type") or "").strip().casefold()
    if named in ("text", "string") or record.get("question_type") == "multi_choice":
        return ChoiceForm.TEXT
    lettered = not any(record.get(name) for name in CHOICE_COLUMNS)
    return ChoiceForm.LETTER if lettered or _KINDS.get(named) is AnswerType.CHOICE else None


def _letter_of(raw: Any, value: str, options: Options, column: str, first_index: int, form: ChoiceForm | None) -> str:
    """The letter of the right option: by its text, its name, its letter, or its index.

    Two readings that name different options are refused, unless it is known which form the set has.
    """
    readings = _readings(raw, value, options, first_index)
    if not readings and options.texts:
        parts = raw if isinstance(raw, (list, tuple)) else parsed(value)
        # A list of one is that one: some sets write each answer as a list.
        if isinstance(parts, (list, tuple)) and len(parts) == 1:
            readings = _readings(parts[0], str(parts[0]).strip(), options, first_index)
        elif several := _several(parts, value, options):
            return several
    if form in readings:
        return readings[form]
    texts = [plain(option) for option in options.texts]
    if len({texts[LETTERS.index(letter)] if texts else letter for letter in readings.values()}) > 1:
        shown = " and ".join(f"the {form_} of option {letter}" for form_, letter in readings.items())
        raise InvalidDataset(
            f"{column} {value[:80]!r} is {shown}: set answer_type to choice for letters or to text for texts",
            field=column,
        )
    if readings:
        return next(iter(readings.values()))
    raise InvalidDataset(
        f"{column} {value[:80]!r} is none of the {len(texts)} options: give an option's text, letter or index",
        field=column,
    )


def _several(raw: Any, value: str, options: Options) -> str:
    """Letters of several options that are right together, as `A, C`, `AC` or a list of letters or texts; else empty."""
    parts = raw if isinstance(raw, (list, tuple)) else re.split(r"\s*[,;&/]\s*", value)
    if len(parts) == 1 and re.fullmatch(r"[A-Z]{2,8}", value):
        parts = list(value)
    letters = []
    for part in map(str, parts):
        place = _place(part, options)
        if place is not None:
            letters.append(LETTERS[place])
        elif letter := _lettered(part, options):
            letters.append(letter)
        else:
            return ""
    return SEPARATOR.join(sorted(letters)) if len(set(letters)) == len(letters) > 1 else ""


def _readings(raw: Any, value: str, options: Options, first_index: int) -> dict[ChoiceForm, str]:
    """Which option each form of writing it would name."""
    found: dict[ChoiceForm, str] = {}
    texts = [plain(option) for option in options.texts]
    if (own := _place(value, options)) is not None:
        found[ChoiceForm.TEXT] = LETTERS[own]
    mark, text = own_mark(value) or ("", "")
    letter = _lettered(value, options) or (_lettered(mark, options) if mark and plain(text) in texts else "")
    if letter and (not mark or plain(text) == texts[LETTERS.index(letter)]):
        found[ChoiceForm.INDEX if options.numbered else ChoiceForm.LETTER] = letter
    # Numbers that the options have themselves say more than their places do.
    if re.fullmatch(r"\d{1,2}(?:\.0)?", value) and not isinstance(raw, bool) and not options.numbered:
        place = int(float(value)) - first_index
        if 0 <= place < len(texts):
            found[ChoiceForm.INDEX] = LETTERS[place]
    return found


def _place(text: str, options: Options) -> int | None:
    """The place of the option with this text, in its own case where there is one, else in any."""
    for read in (spaced_once, plain):
        texts = [read(option) for option in options.texts]
        if read(text) in texts:
            return texts.index(read(text))
    return None


def _lettered(text: str, options: Options) -> str:
    """The letter of the option that goes by this name or, where the row has no names of its own, by this letter."""
    if options.names:
        place = options.named(bare(text))
        return "" if place is None else LETTERS[place]
    letter = _LETTER.fullmatch(bare(text))
    known = letter and (not options.texts or LETTERS.index(letter[1].upper()) < len(options.texts))
    return letter[1].upper() if letter and known else ""


def _reference(text: str) -> str:
    """The answer itself, where the column has a marked solution: GSM8K's `#### 7`, a tag, the box of several sentences.

    A text without a mark stays as it is.
    """
    _, mark, last = text.rpartition("\n#### ")
    if mark and "\n" not in last.strip():
        return last.strip() or text
    if tag := find_answer(text, AnswerPlace.ANSWER_TAG):
        return tag
    text = _CALLED.sub(r"\1", text, count=1)
    long = "\n" in text or len(text) > _LONGEST_BARE
    return (find_answer(text, AnswerPlace.BOXED) if long else None) or text


def precision_of(value: Any) -> int | None:
    """Decimals that count, from a column; None for an empty one. Raises InvalidDataset."""
    if missing(value):
        return None
    try:
        places = int(float(value))
    except (TypeError, ValueError, OverflowError):
        raise InvalidDataset(f"precision {str(value)[:40]!r} is not a number of decimals", field="precision") from None
    if not 0 <= places <= 12:
        raise InvalidDataset(f"precision {places} must be between 0 and 12", field="precision")
    return places
