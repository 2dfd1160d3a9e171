"""Words for the same thing in texts: places in an order, months and weekdays, compass points, hyphens.

Only spellings are brought together. Synonyms, plurals and parts of a name stay different answers.
"""

import re
from functools import lru_cache

_FIRST = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_LATER = "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
_ORDINALS = {word: place for place, word in enumerate(f"{_FIRST} {_LATER}".split(), 1)}
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_ORDINAL = re.compile(rf"\b(?:(?P<tens>{'|'.join(_TENS)})[ -])?(?P<word>{'|'.join(_ORDINALS)})\b")
_MONTHS = [
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
]  # fmt: skip
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_SHORT = {name[:3]: name for name in (*_MONTHS, *_DAYS)} | {
    "sept": "september", "tues": "tuesday", "thur": "thursday", "thurs": "thursday",
}  # fmt: skip
_WHEN = re.compile(r"(?:in|on)\s+|(?:the\s+)?month\s+of\s+")
_POINTS = re.compile(r"\b(north|south)[ -](east|west)\b")
_INTO = {"ne": "northeast", "nw": "northwest", "se": "southeast", "sw": "southwest"}
_HYPHEN = re.compile(r"(?<=[a-z])-(?=[a-z])")
_FIGURE = re.compile(
    r"(?:the\s+)?(?:(?:line\s+)?segment|line|side|edge|chord|ray|point|vertex)\s+(?=[A-Z])|\\(?:overline|overrightarrow)\s*",
)
_PLACED = re.compile(r"(?:in|on|at|to)\s+(?:the\s+)?(?=[a-z])")
_SHAPES = ((re.compile(r"(?:△|\\triangle\b)\s*"), "triangle "), (re.compile(r"(?:∠|\\angle\b)\s*"), "angle "))
_PER = re.compile(r"(?<![a-z])\s*per\s+|\s*/\s*")
_RELATION = re.compile(r"\s*([=<>≤≥≠])\s*")
_BEFORE_YEAR = re.compile(r",(?=\s(?:1[5-9]|20)\d\d$)")
_QUARTER = re.compile(r"\b([1-4])(?:st|nd|rd|th) quarter\b")
_OF_YEAR = re.compile(r"\b(q[1-4])\s+of\s+(?=(?:19|20)\d\d\b)")
_YEAR_FIRST = re.compile(r"^((?:19|20)\d\d) ?(q[1-4])$")
_BRITISH = {"gray": "grey", "color": "colour", "center": "centre", "meter": "metre", "liter": "litre", "fiber": "fibre"}
_AMERICAN = re.compile(rf"\b({'|'.join(_BRITISH)})(s?)\b")
_COUNTRIES = {
    "united states of america": "united states", "usa": "united states", "u.s.a.": "united states",
    "u.s.a": "united states", "u.s.": "united states", "u.s": "united states", "us": "united states",
    "uk": "united kingdom", "u.k.": "united kingdom", "u.k": "united kingdom",
    "uae": "united arab emirates",
}  # fmt: skip
_ALL_OF = re.compile(r"\b(all|both|half) of the\s+")
_UNDETERMINED = re.compile(
    r"^(?:(?:it|this|the (?:answer|relationship|result|value))\s+)?(?:cannot|can not|can't) be determined"
    r"(?: (?:from|with|by) the [a-z ]{1,40})?$"
)
_IN_DECADE = re.compile(r"^(?:in )?(?:the )?(?=1\d\d0s$|20\d0s$)")
_DECADE = re.compile(r"(?<=0)['\u2019](?=s\b)")


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """A folded text with its ordinals in digits, compass points in a word, `and` for `&`, and no hyphens in words.

    Quarters of a year are written `q3 2018`, and American spellings as British ones.
    """
    text = _IN_DECADE.sub("", _ALL_OF.sub(r"\1 the ", text))
    text = _BEFORE_YEAR.sub("", _RELATION.sub(r"\1", _PER.sub("/", text)))
    for sign, word in _SHAPES:
        text = sign.sub(word, text)
    text = _UNDETERMINED.sub("cannot be determined", text)
    text = _POINTS.sub(r"\1\2", _DECADE.sub("", text.replace(" & ", " and ")))
    text = _HYPHEN.sub(" ", _ORDINAL.sub(_in_digits, text))
    text = _YEAR_FIRST.sub(r"\2 \1", _OF_YEAR.sub(r"\1 ", _QUARTER.sub(r"q\1", text)))
    return _AMERICAN.sub(lambda word: _BRITISH[word[1]] + word[2], text)


def means(said: str, gold: str) -> bool:
    """Whether two canonical texts without articles name one month, weekday, country, compass point or place."""
    if gold in _COUNTRIES or gold in _COUNTRIES.values():
        return _COUNTRIES.get(said, said) == _COUNTRIES.get(gold, gold)
    # `Sun` may be the star.
    if gold in _MONTHS or gold in _DAYS or (gold in _SHORT and gold != "sun"):
        said = _WHEN.sub("", said, count=1).removesuffix(".")
        return _SHORT.get(said, said) == _SHORT.get(gold, gold)
    if gold in _INTO.values():
        return _INTO.get(said) == gold
    place = re.fullmatch(r"\d+(?:st|nd|rd|th)", gold)
    return place is not None and re.sub(r"\s+(?:one|place)$", "", said) == gold


def is_day(text: str) -> bool:
    """Whether this names a weekday or a month."""
    return _SHORT.get(text, text) in (*_DAYS, *_MONTHS)


def named_figure(said: str, gold: str) -> bool:
    r"""Whether a response names the figure of the letters `AB` with its kind: `segment AB`, `\overline{AB}`."""
    if not re.fullmatch(r"[A-Z]{1,5}", gold):
        return False
    return _FIGURE.sub("", said, count=1).strip("{} ") == gold


def same_place(said: str, gold: str) -> bool:
    """`on the left` for left, and the other way round; never `on the left` for `to the left`."""
    led, asked = _PLACED.match(said), _PLACED.match(gold)
    if (led is None) == (asked is None):
        return False
    return _PLACED.sub("", said, count=1) == _PLACED.sub("", gold, count=1)


def _in_digits(match: re.Match[str]) -> str:
    number = _TENS.get(match["tens"] or "", 0) + _ORDINALS[match["word"]]
    # `twenty eleventh` is not a number.
    if match["tens"] and _ORDINALS[match["word"]] > 9:
        return match[0]
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
