"""Compares texts: equal words in another case, and dates, times, ratios, ranges and counts by what they name.

Options of choices and references of the type text are compared here alike. What this leaves out: synonyms, plurals
and parts of a name, which stay different answers.
"""

import re
import unicodedata
from functools import lru_cache

from mstar.answers.marks import bare, plain, without_latex_text
from mstar.answers.numbers import Number, read_number
from mstar.answers.quantities import same_compound
from mstar.answers.rule import DEFAULT_RULE
from mstar.answers.scripts import powers_written_out, signs
from mstar.answers.texts import canonical, is_day, means, named_figure, same_place
from mstar.answers.times import same_duration, same_moment, same_span
from mstar.answers.units import is_known, is_percent

_ARTICLE = re.compile(r"\A(?:the|an?|une?|una|el|l[aeo]s?|eine?n?|der|die|das)\s+(?=\S)")
_THE_ONE = re.compile(r"the\s+(.+)\s+one")
_YES_NO = re.compile(r"(yes|no|true|false)\b(?:[,.!:;]|\s*[-\u2014])\s+(?P<rest>\S.*)")
_TURNS = re.compile(r"\b(?:yes|no|but|wait|actually|however|unless|not sure|true|false|maybe|except|answer|option)\b")
"""Words after a yes or no that take it back."""
_THERE_IS_NO = re.compile(r"(?:there|it|he|she|they|we)\s+(?:is|are|was|were|has|have|had)\s+no\s+")
_CODE = re.compile(r"\+?\(?\d[\d ().-]{5,}\d")
"""A telephone number, or another row of digits in groups."""
_BRACKETED = re.compile(r"\(\d[\d .-]{5,}\d\)")
_GROUPS = re.compile(r"\d+")
_DAYS = re.compile(r"\s*(?:-|\u2014|\bto\b|\bthrough\b|\buntil\b|\bthru\b)\s*")
_INITIALS = re.compile(r"[^\s.,]+")
_TITLE = re.compile(r"\A(Dr|Mr|Mrs|Ms|Miss|Prof|Professor|Doctor)\b\.?\s+", re.IGNORECASE)
_ARROW = re.compile(r"\s*(?:→|[-=]+>|\\(?:long)?rightarrow(?![a-z])|\\to(?![a-z]))\s*")
_PAIR = re.compile(r"\s*,\s*(?:and\s+)?|\s+(?:and|&)\s+")
_PLURAL = re.compile(
    r"^(?:the\s+)?(?:points|lines|angles|figures|shapes|segments|sides|triangles|letters)\s+(?=[A-Z\d])", re.IGNORECASE
)
_SHORTENED = re.compile(r"(?P<name>[A-Za-z][A-Za-z ]{2,40}) \((?P<short>(?![IVXLC]+\))[A-Z][A-Za-z]{1,4})\)")
"""`Sodium (Na)`: a name with what it is called for short."""
_RANGE = re.compile(r"(?:from\s+)?(-?[\d.,]+)\s*(?:-|\u2014|to\b)\s*(-?[\d.,]+)(.*)")
_BETWEEN = re.compile(r"(?:between\s+(-?[\d.,]+)|\b((?:1[5-9]|20)\d\d))\s+and\s+(?=-?\d)")
_ROW = re.compile(r"[a-h](?:(?:\s*(?:,|→|-+>|-|>|\\(?:right)?arrow|\\to(?![a-z]))\s*|\s*)[a-h]){2,25}")
_FRACTION = re.compile(r"\d{1,4}/\d{1,4}")
_ORDERED = re.compile(r"-?[\d.]+(?:\s*<\s*-?[\d.]+)+")
_RATIO = re.compile(r"[\d,]+(?:\s*:\s*[\d,]+)+")


def same_text(said: str, gold: str) -> bool:
    """Whether both say one thing, without an article in front; `Yes, it is.` is yes."""
    if both := _SHORTENED.fullmatch(bare(gold)):
        return same_text(said, both["name"]) or same_text(said, both["short"]) or plain(said) == plain(gold)
    one, other = canonical(plain(_shouted(said))), canonical(plain(gold))
    # Only for a reference that is yes or no: elsewhere the words after the comma are the answer.
    if (
        other in ("yes", "no", "true", "false")
        and (led := _YES_NO.fullmatch(one))
        and not _taken_back(led[1], led["rest"])
    ):
        one = led[1]
    if (
        _same_days(plain(said), plain(gold))
        or _same_time(said, gold)
        or same_duration(one, other)
        or same_compound(one, other)
    ):
        return True
    if named_figure(bare(said), bare(gold)):
        return True
    if _FRACTION.fullmatch(other) and (number := read_number(said, DEFAULT_RULE)) is not None:
        return _is_fraction(number, other)
    asked, told = (_RANGE.fullmatch(_BETWEEN.sub(r"\1\2-", text)) for text in (other, one))
    if asked and told:
        return asked.groups() == told.groups()
    if _ORDERED.fullmatch(other) and re.split(r"\s*[<,]\s*", one) == re.split(r"\s*<\s*", other):
        return True
    if _RATIO.fullmatch(other) and (parts := _ratio(one)):
        return parts == _ratio(other)
    one, other = (_ARTICLE.sub("", text, count=1) for text in (_THE_ONE.sub(r"\1", one), other))
    same = one == other or means(one, other) or same_place(one, other) or _same_count(one, other)
    return same or _same_spelling(one, other, plain(said), plain(gold)) or _same_name(bare(said), bare(gold))


def _same_name(said: str, gold: str) -> bool:
    """`J.R. Smith` for J. R. Smith and `Washington DC` for Washington, D.C.; `(555) 0142` for 555-0142."""
    if _CODE.fullmatch(gold) and (_CODE.fullmatch(said) or _BRACKETED.fullmatch(said)):
        # Groups may be left out, and not be other ones: `1990-1995` is not a telephone number.
        groups, digits = _GROUPS.findall(said), _GROUPS.findall(gold)
        return groups == digits or (len(groups) == 1 and groups[0] == "".join(digits) != "" and len(digits[0]) < 4)
    one, other = _initials(said), _initials(gold)
    if one is not None and one == other:
        return True
    # `Jane Doe` for Dr. Jane Doe. With a title that the reference lacks it may be another one, and so may `Doe`.
    untitled = _TITLE.sub("", gold, count=1)
    return untitled != gold and " " in untitled and same_text(_same_title(said, gold), untitled)


def _same_title(said: str, gold: str) -> str:
    """A name without the title that the reference has too."""
    told, asked = _TITLE.match(said), _TITLE.match(gold)
    same = told and asked and _long_title(told[1]) == _long_title(asked[1])
    return said[told.end() :] if told and same else said


def _initials(text: str) -> list[str] | None:
    """Words of a name with single capitals that follow one another as one word; None for no name of several words."""
    words: list[str] = []
    single = False
    for word in _INITIALS.findall(text):
        letter = len(word) == 1 and word.isupper()
        if letter and single:
            words[-1] += word
        else:
            words.append(word)
        single = letter
    return words if len(words) > 1 and any(map(str.isupper, words)) else None


def same_pair(said: str, gold: str) -> bool:
    """Whether both name the same two things in any order: `orange, blue` for blue and orange."""
    told, asked = (_PAIR.split(_PLURAL.sub("", bare(text))) for text in (said, gold))
    told = _without_units(told) if all(map(str.isdecimal, asked)) else told
    if not len(told) == len(asked) == 2 or not all(part.strip() for part in (*told, *asked)):
        return False
    return any(all(map(same_text, told, order)) for order in (asked, asked[::-1]))


def _without_units(parts: list[str]) -> list[str]:
    """`30` and `60` of `30°` and `60°`, where both have one unit."""
    numbers = [read_number(part, DEFAULT_RULE) for part in parts]
    units = {number.unit for number in numbers if number is not None}
    one = len(units) == 1 and None not in numbers and (units == {"°"} or all(map(is_known, units)))
    return [str(number.value) for number in numbers if number is not None] if one else parts


def _long_title(title: str) -> str:
    return {"prof": "professor", "dr": "doctor"}.get(title.casefold(), title.casefold())


def _taken_back(said: str, rest: str) -> bool:
    """Whether the sentence after a yes or no says something else: in `No, there is no cube` it says so again."""
    again = _THERE_IS_NO.match(rest) if said == "no" else None
    return _TURNS.search(rest[again.end() :] if again else rest) is not None


def _same_time(said: str, gold: str) -> bool:
    told, asked = (without_latex_text(bare(text)) for text in (said, gold))
    return same_moment(told, asked) or same_span(told, asked)


# Kept, since a response is compared with each option, and a reference with many responses.
@lru_cache(maxsize=4096)
def _spellings(text: str) -> tuple[str, ...]:
    return tuple(spelt(text) for spelt in _SPELLINGS)


def _same_days(one: str, other: str) -> bool:
    """`Mon-Fri` for Monday to Friday."""
    told, asked = (_DAYS.split(text.removeprefix("from ")) for text in (one, other))
    return len(told) == len(asked) == 2 and all(
        is_day(gold) and means(said, gold) for said, gold in zip(told, asked, strict=True)
    )


def _same_spelling(one: str, other: str, said: str, gold: str) -> bool:
    """The same but for hyphens and commas, signs for LaTeX, what stands between letters in a row, or accents."""
    if any(map(str.__eq__, _spellings(said), _spellings(gold))):
        return True
    return one.isascii() and one == _unaccented(other)


def _unhyphened(text: str) -> str:
    return re.sub(r"(?<=[a-z])-(?=[a-z])", "", text)


def _uncommaed(text: str) -> str:
    return re.sub(r",(?=\s[a-z])", "", text)


def _enumerated(text: str) -> str:
    """`egg, larva, adult` of `egg, larva and adult`."""
    return re.sub(r",?\s+and\s+(?=\S+$)", ", ", text) if "," in text else text


def _unarrowed(text: str) -> str:
    """Steps one behind the other: `seed → plant → fruit` as `seed, plant, fruit`."""
    return re.sub(r"(?<=[a-z])(?:\s+>\s+|,\s+(?:and\s+)?then\s+)(?=[a-z])", ", ", _ARROW.sub(", ", text))


def _shells(text: str) -> str:
    """Electrons in their shells without the signs of powers: `1s2 2s2` of `1s^2 2s^{2}`."""
    digits = re.sub(r"[\^{}\s$]", "", powers_written_out(text))
    return digits if re.fullmatch(r"(?:\d[spdf]\d{1,2})+", digits) else text


def _named_values(text: str) -> str:
    """`length 8, width 5` of `length = 8, width: 5`."""
    return re.sub(r"(?<=[a-z]{3})\s*[=:]\s*(?=-?\d)", " ", text)


def _unspaced(text: str) -> str:
    """`rainforest` of `rain forest`; words of few letters may be others."""
    letters = text.replace(" ", "").replace("-", "")
    return letters if letters.isalpha() and len(letters) >= 8 else text


def _unnumbered(text: str) -> str:
    """`inv-20` of `#inv-20`, `bus 12` of `bus number 12`, and `n/a` in one spelling."""
    text = re.sub(r"(?<=[a-z])\s+(?:number|no\.?|#)\s*(?=\d+$)", " ", text)
    return "n/a" if text in ("na", "n.a", "not applicable") else text.removeprefix("#")


def _either_way(text: str) -> str:
    """`ab∥cd` of `cd ∥ ab`, which lies so the other way round as well."""
    sides = re.fullmatch(r"([a-z]{1,2})([∥⊥])([a-z]{1,2})", re.sub(r"\\overline\{(\w+)\}|[\s$]", r"\1", signs(text)))
    return sides[2].join(sorted((sides[1], sides[3]))) if sides else text


def _in_a_row(text: str) -> str:
    """Letters in an order without what stands between them: `b → a → c`, `b, a, c` and `bac`."""
    return re.sub(r"[^a-z]", "", text) if _ROW.fullmatch(text) else text


def _unaccented(text: str) -> str:
    """`sao paulo` for `são paulo`, as it is typed where the accents are missing."""
    return re.sub(r"(?<=[a-z])[\u0300-\u036f]+", "", unicodedata.normalize("NFD", text))


def _is_fraction(number: Number, gold: str) -> bool:
    """`0.25`, `25%` and `1 out of 4` for 1/4."""
    over, _, under = gold.partition("/")
    value = number.value / 100 if is_percent(number.unit) else number.value
    return number.exact and (not number.unit or is_percent(number.unit)) and value * int(under) == int(over)


def _same_count(said: str, gold: str) -> bool:
    """`2` for two."""
    asked = read_number(gold, DEFAULT_RULE) if gold.replace("-", " ").replace(" ", "").isalpha() else None
    told = read_number(said, DEFAULT_RULE) if asked is not None and not asked.unit else None
    return told is not None and asked is not None and not told.unit and told.value == asked.value


def _ratio(text: str) -> list[str]:
    """Parts of `2:3`, `2 to 3 to 4` or `1 : 50,000`; empty for anything else."""
    parts = re.split(r"\s*(?::|/|to\b)\s*", re.sub(r"(?<=\d)[, ](?=\d{3}\b)", "", text))
    return parts if len(parts) > 1 and all(part.isdigit() for part in parts) else []


def _shouted(text: str) -> str:
    """Without exclamation marks after a word; after a number they are a factorial."""
    return re.sub(r"(?<=[^\W\d_])!+\s*$", "", text.strip())


_SPELLINGS = (
    _unhyphened, _uncommaed, signs, _in_a_row, _unarrowed, _enumerated, _either_way, _shells, _named_values,
    _unnumbered, _unspaced,
)  # fmt: skip
"""Ways of writing one thing, of which a text has at most one."""
