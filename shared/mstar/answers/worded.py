"""Counts in words: `twenty-one`, `two hundred and forty`, `三百二十五`.

What this leaves out: fractions in words, and what is counted.
"""

import re
from collections.abc import Sequence

SMALL = (
    "zero one two three four five six seven eight nine ten "
    "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
WORDS = {word: value for value, word in enumerate(SMALL.split())} | {
    word: 10 * value for value, word in enumerate(TENS.split(), 2)
}
_FOREIGN = (
    "- eins zwei drei vier fünf sechs sieben acht neun zehn|cero uno dos tres cuatro cinco seis siete ocho nueve diez"
    "|zéro - deux trois quatre cinq - sept huit neuf dix"
)
_COUNTS = {word: value for words in _FOREIGN.split("|") for value, word in enumerate(words.split()) if word != "-"}
"""Counts in German, Spanish and French."""
SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}

PLACES = frozenset({
    "first", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth",
    "nineteenth", "twentieth", "thirtieth", "fortieth", "fiftieth", "sixtieth", "seventieth", "eightieth", "ninetieth",
})  # fmt: skip
"""After a count these make a place in an order of it: `two hundred twelfth`."""

_CHINESE = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_CHINESE_SCALES = {"十": 10, "百": 100, "千": 1000}
_CHINESE_COUNT = re.compile(
    r"([零〇一二两三四五六七八九十百千]{1,9})(?=[^零〇一二两三四五六七八九十百千之或和到至]{0,3}$)"
)
"""With a unit after it, and no second number."""


def chinese_count(text: str) -> tuple[int, str] | None:
    """The count that a text begins with in Chinese signs, and the rest; None for no count, or for digits in a row."""
    found = _CHINESE_COUNT.match(text)
    if found is None:
        return None
    total, digit, last = 0, None, 10_000
    for sign in found[0]:
        if sign in "零〇" and len(found[0]) > 1:
            continue
        if sign in _CHINESE:
            if digit is not None:
                return None
            digit = _CHINESE[sign]
            continue
        scale = _CHINESE_SCALES[sign]
        # `十五` begins with its ten; elsewhere each scale is smaller than the one before.
        if scale >= last or digit == 0 or (digit is None and total):
            return None
        total, digit, last = total + (digit or 1) * scale, None, scale
    # `一百五` is short for 150, and may be taken for 105.
    return (
        None
        if digit and last > 10 and last < 10_000 and "零" not in found[0]
        else (total + (digit or 0), text[found.end() :])
    )


def foreign_count(text: str) -> tuple[int, str] | None:
    """The count of one word that a text begins with, and the rest: `vier` and `siete manzanas`."""
    word, _, rest = text.casefold().partition(" ")
    return (_COUNTS[word], rest) if word in _COUNTS else None


def worded_count(words: Sequence[str]) -> tuple[int, int]:
    """The count that the first words say, and how many words say it; no words for no count.

    Also none for scales in a wrong order: `two hundred three hundred` is not a count.
    """
    total, used, last = 0, 0, 10**15
    while True:
        begin = used + 1 if used and words[used : used + 1] == ["and"] else used
        group, end = _below_thousand(words, begin)
        if end == begin or (used and not group):
            break
        scale = SCALES.get(words[end], 1) if end < len(words) and words[end] != "hundred" else 1
        if scale >= last:
            return 0, 0
        total, used, last = total + group * scale, end + (scale > 1), scale
        if scale == 1:
            break
    # `two hundred three` and then `hundred`; `twenty` and then `thirty` is for the reader of what is behind.
    scaled = any(word in SCALES for word in words[:used])
    return (0, 0) if scaled and used < len(words) and words[used] in SCALES else (total, used)


def _below_thousand(words: Sequence[str], begin: int) -> tuple[int, int]:
    """Value and end of `forty`, `two hundred forty` and `two hundred and forty`."""
    value, end = _below_hundred(words, begin)
    if not value or words[end : end + 1] != ["hundred"]:
        return value, end
    value, end = 100 * value, end + 1
    behind = end + 1 if words[end : end + 1] == ["and"] else end
    more, behind_end = _below_hundred(words, behind)
    return (value + more, behind_end) if more else (value, end)


def _below_hundred(words: Sequence[str], begin: int) -> tuple[int, int]:
    value, end = 0, begin
    for word in words[begin : begin + 2]:
        if word not in WORDS or (end > begin and not (value >= 20 and 0 < WORDS[word] < 10)):
            break
        value, end = value + WORDS[word], end + 1
    return value, end
