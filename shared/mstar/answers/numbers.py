r"""Reads a number with its unit, as references and responses write them.

One reader for both sides: `1,200`, `-3.5 cm`, `$12`, `1/2`, `1 1/2`, `50%`, `.5`, `1e6`, `1.2 million`, `two`, `3rd`,
`\frac{1}{2}`, `2\sqrt{3}`. No arithmetic is done beyond a fraction: `34+27` is not a number. Values are exact
fractions; a value with a root or with pi is a float.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from mstar.answers.marks import bare, out_of_dollars, without_latex_text
from mstar.answers.rule import AnswerRule
from mstar.answers.scripts import fractions_written_out, powers_written_out
from mstar.answers.worded import PLACES, SCALES, SMALL, TENS, WORDS, chinese_count, foreign_count, worded_count

_LONGEST = 500
"""Characters of a number with its unit, its name and the work in front of it: what is longer is another text."""
# Bounded: Python takes quadratic time to read a number of many digits, and `[0-9]` and not `\d`, which is any script's.
_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,40})(?:\.[0-9]{0,40})?|\.[0-9]{1,40}"
_PLAIN = re.compile(
    rf"(?P<sign>[+-]?)\s*(?P<currency>[$€£¥₹]?)\s*(?P<inner>[+-]?)(?P<digits>{_DIGITS})(?P<power>[eE][+-]?[0-9]{{1,2}})?"
)
_TEN = re.compile(r"(?P<sign>[+-]?)\s*10\s*\^\s*\{?\s*(?P<power>[+-]?[0-9]{1,2})(?![0-9])\s*\}?")
_SCIENTIFIC = re.compile(r"\s*(?:\\times|\\cdot|[×·⋅x*])\s*10\s*\^\s*\{?\s*(?P<power>[+-]?[0-9]{1,2})\s*\}?")
_DIVISOR = re.compile(r"\s*/\s*(?P<divisor>[0-9]{1,40})(?![0-9.])")
_MIXED = re.compile(r"\s+(?P<over>[0-9]{1,9})\s*/\s*(?P<under>[0-9]{1,9})(?![0-9.])")
_ROOT = r"\\sqrt\s*(?:\{\s*(?P<root>[0-9]{1,9})\s*\}|(?P<root_>[0-9]))"
_FRACTION = re.compile(
    r"(?P<sign>[+-]?)\s*(?:(?P<whole>[0-9]{1,9})\s*)?"
    r"\\[dt]?frac\s*(?:\{\s*(?P<over>-?[0-9]{1,20})\s*\}|(?P<over_>[0-9]))\s*(?:\{\s*(?P<under>[0-9]{1,20})\s*\}|(?P<under_>[0-9]))"
)
_IRRATIONAL = re.compile(
    rf"(?P<sign>[+-]?)\s*(?:(?P<times>{_DIGITS})|\\[dt]?frac\s*\{{(?P<over>\d{{1,9}})\}}\s*\{{(?P<under>\d{{1,9}})\}}"
    rf"|\((?P<over_>\d{{1,9}})/(?P<under_>\d{{1,9}})\))?\s*(?:\\cdot|\*)?\s*(?:{_ROOT}|(?P<pi>\\pi|π))"
    r"(?:\s*/\s*(?P<divisor>[0-9]{1,9}))?"
)
_SPACED = re.compile(r"(?<![\d.,])(\d{1,3}(?:(?: |'|\u2019|\\[,;: ]|~)\d{3})+)(?!\d)")
_DOTTED = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3}){2,})(?![\d.])")
_DOTTED_COMMA = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+),(\d+)(?![\d.,])")
_INDIAN = re.compile(r"(?<![\d.,])(\d{1,2}(?:,\d{2})+,\d{3})(?![\d,])")
_COMMA = re.compile(r"(?<![\d.,])(0,\d+|\d{4,},\d+|\d+,(?:\d{1,2}|\d{4,}))(?![\d.,])")
"""Decimal commas that cannot be commas between thousands."""
_CODES = {
    "US$": "$", "USD": "$", "EUR": "€", "GBP": "£", "JPY": "JPY", "CNY": "CNY", "RMB": "CNY", "INR": "₹",
    "Rs": "₹", "Rs.": "₹",
}  # fmt: skip
_CODED = re.compile(r"([+-]?)\s*(US\s?\$|USD|EUR|GBP|JPY|CNY|RMB|INR|Rs\.?)\s*(?=[.\d])")
_SHORT = {"k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "bn": 10**9}
"""Scales that may be units as well (kelvin, metres): beside a currency they are scales."""
_SCALES = {"dozen": 12, **SCALES}
_SEVERAL = {"tens": 10} | {f"{word}s": value for word, value in _SCALES.items()}
"""`3 hundreds` are 300."""
_WORDED = re.compile(
    rf"\b(?:(?:{'|'.join(TENS.split())})(?:[\s-]+(?:{'|'.join(SMALL.split()[1:10])}))?|{'|'.join(reversed(SMALL.split()))})\b",
    re.IGNORECASE,
)
_RAISED_DIGITS = re.compile(r"(?<=\d)[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b", re.IGNORECASE)
_PARTS = {
    "half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10,
}  # fmt: skip
_WORDED_PART = re.compile(
    rf"(?:(?P<whole>\d{{1,9}}|{'|'.join(WORDS)})\s+and\s+)?(?:(?P<over>an?|{'|'.join(WORDS)})(?:\s+|-))?"
    rf"(?P<under>halves|(?:{'|'.join(_PARTS)})s?)(?=\s|$)",
    re.IGNORECASE,
)
_AND_PART = re.compile(r"(\d+)\s+and\s+(\d+\s*/\s*\d+)$")
_NEGATIVE = re.compile(r"(?:minus|negative)\s+(?=[\d.])", re.IGNORECASE)
_NEGATIVE_WORDS = re.compile(r"(?:minus|negative)\s+(?=[a-z])", re.IGNORECASE)
_ABOUT = re.compile(
    r"(?:exactly|precisely|approximately|approx\.?|about|around|roughly|≈|\\approx|~)\s*", re.IGNORECASE
)
_ASSIGNED = re.compile(
    r"(?:|[A-Za-zα-ω]|\\[a-z]+|[A-Za-z]_\{?\w\}?|[A-Za-z]'{0,3}\([^()=]{1,20}\)|[A-Z]{2,3}"
    r"|[A-Z]_\{?(?:\\triangle\s*|△)?[A-Z]{1,4}\}?|m?\s*\\(?:overline|widehat|overset\{\\frown\})\{[A-Z]{2,3}\}|m?\s*(?:\\angle\s*|∠)[A-Z]{1,3})\s*(?:=|≈|\\approx)\s*"
)
_AMOUNT_OF = re.compile(
    r"(?:an?\s+(?:total|value|sum|length|area|measure)\s+of|the\s+value(?:\s+of)?)\s+(?=[$€£]?-?\.?\d)", re.IGNORECASE
)
_SAID_OF = re.compile(
    r"(?:(?:angle\s+|∠|\\angle\s*)(?:[A-Za-z]{1,3}|[1-9])|[A-Za-zα-ω]|[A-Z]{2,3})\s+(?:is(?:\s+equal\s+to)?|equals)\s+",
    re.IGNORECASE,
)
"""`Angle x is 72°`, `x equals 72`."""
_QUANTITY = re.compile(
    r"(?:the\s+)?(?:total\s+)?(?:total|sum|area|perimeter|length|width|height|radius|diameter|distance|volume|angle|speed"
    r"|time|cost|price|profit|mean|median|mode|average|range|slope|probability|difference|product|quotient|value|number"
    r"|count|age|mass|weight|force)(?:\s+of\s+[^\d:=]{1,40})?\s*[=:]\s*",
    re.IGNORECASE,
)
"""What an answer is called in front of it: `Total: 42`, `Area = 12`."""
_WORKED_OUT = re.compile(
    r"(?=[^=]*(?:\d[%$€£¥₹\s]*(?:[-+*/×÷·^!]|\\(?:times|div|cdot)\b)|\\[dt]?frac|√|\\sqrt|(?:π|\\pi)\s*(?:[*×·(]|\\(?:times|cdot)\b)))"
    r"(?:[\d\s.,+*/×÷·^!°$€£¥₹√π(){}-]|\\(?:times|div|cdot|left|right|[dt]?frac|circ|sqrt|pi)(?![a-z])"
    r"|\\[,;: ]|(?<=\d)%)+=\s*(?=[^=]+$)"
)
"""Arithmetic on numbers alone, in front of its result: `34 + 27 = 61` says 61."""
_ROUNDED_TO = re.compile(
    r"-?(?:[\d.,\s]|[√π]|\\(?:sqrt|pi)(?![a-z])|\\[dt]?frac(?![a-z])|[{}()/])+(?:≈|\\approx)\s*(?=-?[$€£]?[\d.])"
    r"(?!.*(?:[√π]|\\(?:sqrt|pi)(?![a-z])))"
)
"""`4.673 ≈ 4.7` says 4.7, and `12√2 ≈ 16.97` 16.97."""
_SHARE_OF = re.compile(
    r"(?:-?[\d.,]+\s*%|\d+\s*/\s*\d+|half|(?:a|one)\s+(?:half|third|quarter|fifth))\s+of\s+[$€£¥₹]?[\d.,]+\s*"
    r"(?:=|is|equals)\s*(?=[$€£¥₹]?-?[\d.])",
    re.IGNORECASE,
)
"""`15% of 300 is 45` says 45."""
_FROM_ZERO = re.compile(
    r"(?P<number>[\w.]+(?:\s*°\s*[CF]?|\s+degrees?)?)\s+(?P<side>below|above)\s+(?:zero|0)", re.IGNORECASE
)
"""`5 degrees below zero` is -5."""
_LETTER = r"(?:[^\W\d_¹²³⁰-⁹]|[\u0900-\u0963\u0971-\u0dff])"
"""Also the vowel signs of Indian scripts, which Python takes for no letters."""
_ONE_UNIT = rf"[°µ%]?{_LETTER}+(?:⁻?[¹²³]|\^\{{?-?[1-3]\}}?|(?<=[^\W\d_])[23])?"
_UNIT_WORD = re.compile(rf"[(]?{_ONE_UNIT}(?:[/·*.-]{_ONE_UNIT})*[.)]?|/|per")
_DECADE = re.compile(r"[12]\d\d\d['\u2019]?s")
"""No number of seconds."""
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_YEAR = re.compile(r"(?:in\s+)?(?:the\s+)?year\s+(?=\d)|(?:in|en)\s+(?=[12]\d{3}$)", re.IGNORECASE)
_OUT_OF = re.compile(r"^(\d{1,9})\s+(?:out\s+of|in)\s+(\d{1,9})$")
"""A probability in words: `2 out of 7`."""
_NUMBERED = re.compile(r"^(?:#|no\.\s*|number\s+)(?=\d+$)", re.IGNORECASE)
"""`#23` of a jersey."""
_ONE_SCALE = re.compile(r"an?\s+(?=(?:dozen|hundred|thousand|million|billion|trillion)\b)", re.IGNORECASE)
_JOINERS = {
    "or", "and", "to", "not", "but", "if", "is", "plus", "minus", "times", "than", "vs", "versus", "no", "never",
    "maybe", "perhaps", "possibly", "wrong", "incorrect", "past", "until", "before", "after", "ago", "below", "above",
}  # fmt: skip
_DENIED = re.compile(r"ではない|ではありません|じゃない|不是|没有")
_IN_TOTAL = ("in total", "in all", "altogether", "total")
_POWERS = {"squared", "cubed"}
CHANGES = {"factorial", "more", "less", "fewer", "bc", "bce", "b.c", "b.c.", *PLACES, *_SCALES, *_SEVERAL} | {
    f"{part}{end}" for part in (*_PARTS, "hundredth", "thousandth", "millionth") for end in ("", "s")
}
"""Words that make another number of the one before them."""


@dataclass(frozen=True, slots=True)
class Number:
    """A value and what stands beside it."""

    value: Fraction
    unit: str = ""
    """As written, such as `cm`, `%` or `$`; empty without one."""
    places: int = 0
    """Decimals that were written."""
    exact: bool = True
    """False for a root or pi, whose value is a float's."""
    ordinal: bool = False
    """Whether it was written as a place in an order, `3rd`."""


@lru_cache(maxsize=4096)
def read_number(text: str, rule: AnswerRule) -> Number | None:
    """The number that the text is, or None when it is anything else or more than one number."""
    if len(text) > _LONGEST:
        return None
    text = _ABOUT.sub("", bare(text), count=1) if _ABOUT.match(bare(text)) else bare(text)
    if _DECADE.fullmatch(text):
        return None
    text = _BOLD.sub(r"\1", fractions_written_out(powers_after_digits(text)))
    text = _NUMBERED.sub("", out_of_dollars(text)).removesuffix("/-")
    text = _OUT_OF.sub(r"\1/\2", _YEAR.sub("", text, count=1))
    text = _CODED.sub(lambda match: match[1] + _CODES[match[2].replace(" ", "")], text, count=1)
    if zero := _FROM_ZERO.fullmatch(text):
        text = f"{'minus ' if zero['side'].casefold() == 'below' else ''}{zero['number']}"
    text = _NEGATIVE.sub("-", text, count=1) if _NEGATIVE.match(text) else text
    if rule.foreign_numbers:
        text = _as_written_here(text)
    if rule.assignments:
        for called in (_AMOUNT_OF, _QUANTITY, _ASSIGNED, _SAID_OF, _WORKED_OUT, _SHARE_OF, _ROUNDED_TO):
            text = bare(text[match.end() :]) if (match := called.match(text)) else text
    if rule.number_words:
        text = _ONE_SCALE.sub("one ", text, count=1)
    # In this order: a plain number would read the 2 of `2\sqrt{3}` or the 10 of `10^3`.
    readers: list[Callable[[str], tuple[Number, str] | None]] = (
        [_fraction, _irrational, _power] if rule.closed_forms else []
    )
    readers += [_worded_part, _plain, _worded] if rule.number_words else [_plain]
    for read in readers:
        found = read(text)
        if found is not None and (number := _with_unit(*found, rule)) is not None:
            return number
    return None


def result_of(text: str) -> str:
    """`61` of `34 + 27 = 61`; any other text as it is."""
    return _WORKED_OUT.sub("", text, count=1) if _WORKED_OUT.match(text) else text


def in_digits(text: str) -> str:
    """`2 hours and 45 minutes` of `two hours and forty-five minutes`."""
    return _WORDED.sub(lambda found: str(sum(WORDS[word] for word in re.split(r"[\s-]+", found[0].casefold()))), text)


def short_scale(unit: str) -> int | None:
    """What `k`, `M` or `bn` multiplies by, where it stands for a unit; None for anything else."""
    return _SHORT.get(unit)


def rounded(value: Fraction, places: int) -> Fraction:
    """To this many decimals, halves away from zero, as MathVista's answers are rounded."""
    scale = 10**places
    return Fraction(math.floor(abs(value) * scale + Fraction(1, 2)), scale) * (-1 if value < 0 else 1)


def powers_after_digits(text: str) -> str:
    """`10³` as `10^{3}`; the raised sign of a unit stays."""
    return _RAISED_DIGITS.sub(lambda run: powers_written_out(run[0]), text)


def _as_written_here(text: str) -> str:
    """With a point before decimals and nothing between thousands, where the text can only mean that."""
    text = _SPACED.sub(lambda match: re.sub(r"\D", "", match[1]), text)
    text = _DOTTED_COMMA.sub(lambda match: f"{match[1].replace('.', '')}.{match[2]}", text)
    text = _DOTTED.sub(lambda match: match[1].replace(".", ""), text)
    text = _INDIAN.sub(lambda match: match[1].replace(",", ""), text)
    text = _COMMA.sub(lambda match: match[1].replace(",", "."), text)
    return _AND_PART.sub(r"\1 \2", text)


def _power(text: str) -> tuple[Number, str] | None:
    """A power of ten that stands alone."""
    match = _TEN.match(text)
    if match is None:
        return None
    value = Fraction(10) ** int(match["power"])
    return Number(-value if match["sign"] == "-" else value), text[match.end() :]


def _worded_part(text: str) -> tuple[Number, str] | None:
    """`half`, `three quarters`, `one and a half`; `third` alone is a place in an order."""
    if negative := _NEGATIVE_WORDS.match(text):
        found = _worded_part(text[negative.end() :])
        return None if found is None else (Number(-found[0].value), found[1])
    match = _WORDED_PART.match(text)
    if match is None:
        return None
    part = match["under"].casefold().removesuffix("s")
    if match["over"] is None and part != "half":
        return None
    whole = match["whole"] or "0"
    over = (match["over"] or "a").casefold()
    value = Fraction(1 if over in ("a", "an") else WORDS[over], _PARTS.get(part, 2))
    return Number(value + (int(whole) if whole.isdigit() else WORDS[whole.casefold()])), text[match.end() :]


def _plain(text: str) -> tuple[Number, str] | None:
    """Number and rest of the text. The currency sign is its unit."""
    text = without_latex_text(text).strip()
    match = _PLAIN.match(text)
    if match is None or (match["sign"] and match["inner"]):
        return None
    value = Fraction(match["digits"].replace(",", "") + (match["power"] or ""))
    places = len(match["digits"].partition(".")[2])
    rest = text[match.end() :]
    if mixed := _MIXED.match(rest):
        # `1 1/2` is a mixed number; `1.5 1/2` and `1 3/2` are two numbers.
        if not int(mixed["under"]) or value.denominator != 1 or int(mixed["over"]) >= int(mixed["under"]):
            return None
        value, rest = value + Fraction(int(mixed["over"]), int(mixed["under"])), rest[mixed.end() :]
    elif divisor := _DIVISOR.match(rest):
        if not int(divisor["divisor"]):
            return None
        value, rest, places = value / int(divisor["divisor"]), rest[divisor.end() :], 0
    elif scientific := _SCIENTIFIC.match(rest):
        value, rest = value * Fraction(10) ** int(scientific["power"]), rest[scientific.end() :]
    negative = "-" in (match["sign"], match["inner"])
    return Number(-value if negative else value, match["currency"], places), rest


def _fraction(text: str) -> tuple[Number, str] | None:
    match = _FRACTION.match(text)
    if match is None:
        return None
    over, under = int(match["over"] or match["over_"]), int(match["under"] or match["under_"])
    if not under:
        return None
    value = int(match["whole"] or 0) + Fraction(over, under)
    return Number(-value if match["sign"] == "-" else value), without_latex_text(text[match.end() :])


def _irrational(text: str) -> tuple[Number, str] | None:
    match = _IRRATIONAL.match(text)
    if match is None:
        return None
    value = math.pi if match["pi"] else math.sqrt(int(match["root"] or match["root_"]))
    over, under = match["over"] or match["over_"], match["under"] or match["under_"]
    if not (divisor := int(under or 1) * int(match["divisor"] or 1)):
        return None
    value *= float((match["times"] or over or "1").replace(",", "")) / divisor
    return Number(Fraction(-value if match["sign"] == "-" else value), exact=False), without_latex_text(
        text[match.end() :]
    )


def _worded(text: str) -> tuple[Number, str] | None:
    """`two`, `twenty-one`, `minus three`."""
    if (counted := chinese_count(text.strip()) or foreign_count(text.strip())) is not None:
        return Number(Fraction(counted[0])), counted[1]
    words = re.split(r"[\s-]+", text.strip().casefold())
    negative = words[0] in ("minus", "negative")
    words = words[1:] if negative else words
    value, used = worded_count(words)
    if not used:
        return None
    return Number(Fraction(-value if negative else value)), " ".join(words[used:])


def _with_unit(number: Number, rest: str, rule: AnswerRule) -> Number | None:
    """The number with the rest read as its scale and unit; None when the rest is neither."""
    if ordinal := _ORDINAL.match(rest):
        # `3rd` is the third; `12th of them are red` is not a number of anything.
        return replace(number, ordinal=True) if not rest[ordinal.end() :].strip(" .") else None
    rest = rest.strip()
    word, _, behind = rest.partition(" ")
    if rule.number_words and (scale := (_SCALES | _SEVERAL).get(word.casefold())):
        number, rest = Number(number.value * scale, number.unit, 0), behind.strip()
    elif (number.unit and word == "m") or (word in _SHORT and (number.unit or behind.strip())):
        # `10K` may be kelvin, so that alone stays a unit until it is known which one is asked for.
        number, rest = Number(number.value * _SHORT.get(word, 10**6), number.unit, 0), behind.strip()
    if not rest or (number.unit and rest.casefold() in _IN_TOTAL):
        return number
    # A currency is a unit already, so a second one makes another quantity: `$5 per hour`.
    if number.unit or not _is_unit(rest):
        return None
    return Number(number.value, rest, number.places, number.exact)


def _is_unit(text: str) -> bool:
    """Whether the rest could be a unit: a sign, or one to four words that join no second answer on."""
    if text in '%°$€£¥₹¢Ω"':
        return True
    words = text.split()
    # A number with pi is a closed form, which has a reader of its own.
    if (
        _DENIED.search(text)
        or text[0] == "π"
        or len(words) > 4
        or words[0].casefold() in _POWERS
        or (_JOINERS | CHANGES | WORDS.keys()) & {word.casefold() for word in words}
    ):
        return False
    return all(_UNIT_WORD.fullmatch(word) for word in words)
