"""The type of a reference answer: the one that its row names, else the one that it has by the readers of responses.

What this leaves out: which column has the answer, and which option it names (`records`).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mstar.answers.letters import products_apart
from mstar.answers.marks import bare
from mstar.answers.numbers import read_number
from mstar.answers.options import missing
from mstar.answers.rule import DEFAULT_RULE
from mstar.answers.units import is_known, is_variable
from mstar.errors import InvalidDataset
from mstar.types import AnswerType

_LATEX = re.compile(r"\\[A-Za-z]+|[\^_]\{|[\^]\d|\$.*\$|[π√]")
_FRACTION = re.compile(r"[+-]?\s*(?:\d+\s+)?\d+\s*/\s*\d+")
_POINT = re.compile(r"[(\[]\s*[+-]?(?:[\d./]+|∞)(?:\s*,\s*[+-]?(?:[\d./]+|∞))+\s*[)\]]")
"""Coordinates and intervals, which are not text that must be spaced alike."""
_ENDLESS = re.compile(r"∞|\\infty")
_WORDS_ONLY = re.compile(r"\$?\\text(?:bf)?\{[^{}$\\]*\}\$?")
_SET = re.compile(r"\\?\{\s*[+-]?[\d./]+(?:\s*,\s*[+-]?[\d./]+)+\s*\\?\}")
_FORMULA = re.compile(
    r"(?=.*[=<>≤≥+∪]|.*[\w)]\s-\s[\w(]|.*\d[a-z]-\d|\d+[a-z]$)(?=.*[A-Za-z])(?:(?<![A-Za-z])[A-Za-z](?![A-Za-z])|[\d\s.,()^*/+=<>≤≥∪-])+"
)
"""Equations, inequalities and sums, whose variables are single letters: `y = 2x + 1`, `x>3`."""
_PRODUCT = re.compile(r"-?\d{1,9}(?:[abc]{2,3}|[xyz]{2,3}|mn|pq|[rst]{2,3})")
"""`5xy`: letters that are variables wherever they stand; `80gb` stays a text."""
_FOREIGN = re.compile(r"\d[.' ]\d{3},\d|\d(?:[.' ]\d{3}){2}(?!\d)|\d,\d{1,2}\s*[%€]|€\s*\d+,\d{1,2}$")
"""Numbers that can only be another country's; `3,14` alone may be a list."""
_NAMED = re.compile(r"\d+(?:0['\u2019]?s|(?:st|nd|rd|th)\b.*)", re.IGNORECASE)
"""Decades and places in an order: `1990s` is not a number of seconds, `21st century` no 21 of anything."""
_TIME = re.compile(r"\d{1,2}(?::\d\d)?\s*[ap]\.?\s?m\.?", re.IGNORECASE)
"""`2 p.m.` is not a number of anything."""
_RELATED = re.compile(
    r"\\(?:angle|triangle)\s*\w+$|\\(?:parallel|perp|cong|sim)(?![A-Za-z])|[∥⊥≅∼→⇌]|->|\\(?:long)?rightarrow"
)
"""Names of figures and how they lie, which no one works out."""
_ION = re.compile(r"(?:[A-Z][a-z]?\d?){1,4}\^\{?\d?[+-]\}?")
"""`SO4^2-`: its charge is not a power."""
KINDS = {
    "choice": AnswerType.CHOICE, "multi_choice": AnswerType.CHOICE, "multiple_choice": AnswerType.CHOICE,
    "mcq": AnswerType.CHOICE, "option": AnswerType.CHOICE,
    "integer": AnswerType.INTEGER, "int": AnswerType.INTEGER, "float": AnswerType.FLOAT, "number": AnswerType.FLOAT,
    "decimal": AnswerType.FLOAT, "list": AnswerType.LIST, "text": AnswerType.TEXT, "string": AnswerType.TEXT,
    "math": AnswerType.MATH, "latex": AnswerType.MATH, "expression": AnswerType.MATH, "equation": AnswerType.MATH,
    "tuple": AnswerType.MATH, "interval": AnswerType.MATH,
}  # fmt: skip
_DECIMAL_COMMA = re.compile(r"-?\d+,(?:\d{1,2}|\d{4,})(?:\s*\D{1,12})?")
_COMMA_WORDS = (
    "wie viel viele welche welcher welches der das ist sind beträgt quel quelle quels combien est les le la dans cuál"
    " cuánto cuánta cuántos cuántas qué es el los qual quanto quanta quantos sono della il lo сколько какова какое"
    " hoeveel het"
)
_WITH_COMMAS = frozenset(_COMMA_WORDS.split())
"""Words of questions in languages whose decimals stand behind a comma."""
_NO_KINDS = ("numerical", "other", "yes/no", "unanswerable")
"""What OlympiadBench, VQA and VizWiz say in `answer_type` of answers that are of several types."""


def kind_of(record: Mapping[str, Any], value: str, options: Sequence[str], *, listed: bool) -> AnswerType:
    """The type that the row names, else the one that its answer has. With options it is a choice, whatever they are.

    Raises InvalidDataset for a name that is not a type.
    """
    named = record.get("answer_type") or record.get("question_type") or ""
    # DynaMath writes `multiple choice`.
    name = re.sub(r"[\s-]+", "_", str(named).strip().casefold())
    # VQA's `number` is what a question asks for, and some people answer `lots`.
    asked = name == "number" and "answers" in record
    known = None if asked else KINDS.get(name)
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
    if known is None and _DECIMAL_COMMA.fullmatch(value) and speaks_with_commas(str(record.get("question") or "")):
        return AnswerType.FLOAT
    return known if known is not None else guessed(value)


def speaks_with_commas(question: str) -> bool:
    """Whether a question is in a language that writes 12,5 for twelve and a half."""
    return len({word for word in re.findall(r"[^\W\d_]+", question.casefold()) if word in _WITH_COMMAS}) > 1


def guessed(value: str) -> AnswerType:
    """By the reader that also reads responses, so that what it can read as a number is compared as one."""
    text = bare(value)
    if re.fullmatch(r"\(?[A-Z]\)?", text):
        return AnswerType.CHOICE
    # With an infinity it is an interval, whose brackets have a meaning.
    if text[:1] + text[-1:] == "[]" and not _ENDLESS.search(text) and not _ascending(text):
        return AnswerType.LIST
    if _RELATED.search(text) or _NAMED.fullmatch(text) or _ION.fullmatch(text) or _TIME.fullmatch(text):
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
    if _PRODUCT.fullmatch(text) and products_apart(text) != text:
        return AnswerType.MATH
    exact = _LATEX.search(value) or _FRACTION.fullmatch(text) or _POINT.fullmatch(text) or _ENDLESS.search(text)
    return AnswerType.MATH if exact or _formulas(text) or _SET.fullmatch(text) else AnswerType.TEXT


def _formulas(text: str) -> bool:
    """Whether this is a formula, or several of which each may be right: `x = -2 or x = 5`."""
    return all(_FORMULA.fullmatch(products_apart(part)) for part in re.split(r"\s+(?:or|and)\s+", text))


def _ascending(text: str) -> bool:
    """Whether `[2, 5]` may be a closed interval, so that its brackets count."""
    ends = [read_number(part, DEFAULT_RULE) for part in text[1:-1].split(",")]
    return len(ends) == 2 and ends[0] is not None and ends[1] is not None and ends[0].value < ends[1].value
