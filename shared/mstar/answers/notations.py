r"""Compares what is written in a notation of its own: Roman numerals, `1101_2`, `7+`, and ratios that are not reduced.

What this leaves out: numbers in digits (`numbers`) and formulas (`maths`).
"""

import re
from fractions import Fraction

from mstar.answers.directed import same_directed, same_multiple
from mstar.answers.marks import bare
from mstar.answers.numbers import in_digits, read_number
from mstar.answers.phrases import same_text
from mstar.answers.rule import DEFAULT_RULE
from mstar.answers.scripts import signs
from mstar.answers.texts import canonical

_ROMAN = re.compile(r"(?=[IVXLCDM]{2})M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_BOTH = re.compile(r"(?P<first>[A-Z]+|\d+)\s*\((?P<second>[A-Z]+|\d+)\)")
_LOW = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_BASED = re.compile(r"\(?(?P<digits>[0-9A-F]{1,64})\)?(?:_\{?(?P<base>\d{1,2})\}?|(?P<low>[₀-₉]{1,2}))")
_BASES = {"binary": 2, "octal": 8, "hexadecimal": 16}
_IN_BASE = re.compile(
    r"\b(?:binary|octal|hexadecimal)\b|\bbase[ -](?P<base>\d{1,2}|two|eight|sixteen)\b", re.IGNORECASE
)
_LEAST = re.compile(
    r"(?:ages?\s+)?(?:at\s+least\s+(?P<least>\d+)|(?P<count>\d+)(?:\s+years?)?(?:\s+of\s+age)?"
    r"\s*(?:\+|(?:and|or)\s+(?:up|over|older|above|more)))(?:\s+(?P<unit>[a-z]+))?",
    re.IGNORECASE,
)
_AGE = re.compile(r"\bages?\b", re.IGNORECASE)
_AGED = re.compile(r"^(?:the\s+)?(?:ages?|aged|people\s+aged)\s+")
_YEARS_OLD = re.compile(r"\s*[ -](?:years?(?:\s+of\s+age|[ -]olds?)?|age\s+group)(?=$|\s+(?:and|or)\b)")
_DIAL = re.compile(r"\b(?:clock|watch|dial)\b", re.IGNORECASE)
_HALF_DAY = re.compile(r"\s*[ap]\.?m\.?$", re.IGNORECASE)
_PARTS = re.compile(r"([\d.]+)\s*(?::|/|\bto\b)\s*([\d.]+)", re.IGNORECASE)
_REDUCED = re.compile(r"\b(?:simpl|lowest|reduce)", re.IGNORECASE)


def same_notation(said: str, gold: str, question: str) -> bool:
    """Whether both write one thing in such a notation."""
    said, gold = bare(said), bare(gold)
    return (
        _same_roman(said, gold)
        or same_directed(said, gold)
        or same_multiple(said, gold)
        or _same_based(said, gold, question)
        or _same_least(said, gold)
        or (_AGE.search(question) is not None and _same_ages(said, gold))
        or (_DIAL.search(question) is not None and _same_dial(said, gold))
        or ("ratio" in question.casefold() and _same_ratio(said, gold, reduced=_REDUCED.search(question) is not None))
    )


def _same_ages(said: str, gold: str) -> bool:
    """`ages 18 to 24` and `18-24 year olds` for 18-24, `aged 65 and above` for 65+."""
    told, asked = (_YEARS_OLD.sub("", _AGED.sub("", text.casefold())).strip() for text in (said, gold))
    return (told, asked) != (said, gold) and (same_text(told, asked) or _same_least(told, asked))


def _same_dial(said: str, gold: str) -> bool:
    """`2:45 pm` for 2:45, since a dial does not tell the halves of the day apart."""
    return re.fullmatch(r"(?:0?[1-9]|1[0-2]):[0-5]\d", gold) is not None and (
        _HALF_DAY.sub("", said.removeprefix("at ")).lstrip("0") == gold.lstrip("0")
    )


def _same_roman(said: str, gold: str) -> bool:
    """`1994` and `MCMXCIV (1994)` for MCMXCIV."""
    if not _ROMAN.fullmatch(gold):
        return False
    both = _BOTH.fullmatch(said)
    parts = both.groups() if both else (said,)
    return all(_counted(part) == _counted(gold) for part in parts)


def _counted(text: str) -> Fraction | None:
    if _ROMAN.fullmatch(text):
        values = [_VALUES[sign] for sign in text]
        # A smaller sign before a larger one is taken away.
        pairs = zip(values, [*values[1:], 0], strict=True)
        return Fraction(sum(-value if value < after else value for value, after in pairs))
    # `second` and `2nd` too: the second quadrant is quadrant II.
    number = read_number(canonical(text.casefold()), DEFAULT_RULE)
    return number.value if number is not None and not number.unit else None


def _same_based(said: str, gold: str, question: str) -> bool:
    """`(1101)_2` and `1101₂` for `1101_2`; `1101` alone where the question names the base."""
    asked = _based(gold)
    if asked is None:
        return False
    told = _based(said)
    if told is None and re.fullmatch(r"[0-9A-F]+", said) and (named := _IN_BASE.search(question)):
        words = {"two": 2, "eight": 8, "sixteen": 16}
        base = named["base"] or str(_BASES[named[0].casefold()])
        told = (said, words.get(base.casefold()) or int(base))
    return told is not None and (told[0].lstrip("0"), told[1]) == (asked[0].lstrip("0"), asked[1])


def _based(text: str) -> tuple[str, int] | None:
    found = _BASED.fullmatch(text.partition("=")[2].strip() if re.match(r"[0-9A-F]+\s*=", text) else text)
    return (found["digits"], int((found["base"] or found["low"]).translate(_LOW))) if found else None


def _same_least(said: str, gold: str) -> bool:
    """`7 and up`, `ages 7+` and `at least 7` for 7+."""
    told, asked = _LEAST.fullmatch(in_digits(said)), _LEAST.fullmatch(gold)
    if told is None or asked is None or (told["unit"] and asked["unit"] and told["unit"] != asked["unit"]):
        return False
    return (told["least"] or told["count"]) == (asked["least"] or asked["count"])


def _same_ratio(said: str, gold: str, *, reduced: bool) -> bool:
    """`4:6` and `two to three` for 2:3."""
    told, asked = _PARTS.fullmatch(in_digits(signs(said))), _PARTS.fullmatch(gold)
    if told is None or asked is None:
        return False
    if reduced:
        return told.groups() == asked.groups()
    try:
        first, second, one, other = (Fraction(part) for part in (*told.groups(), *asked.groups()))
    except ValueError:
        return False
    return first * other == second * one and bool(second) and bool(other)
