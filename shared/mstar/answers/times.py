"""Dates and times in the ways people write them, compared by what they name."""

import re
from datetime import datetime
from fractions import Fraction

from mstar.answers.numbers import in_digits

_DATES = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%B %d, %Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%d %b %Y",
    "%B %d %Y",
    "%b %d %Y",
    "%d. %B %Y",
    "%d %B, %Y",
    "%d %b, %Y",
    "%d.%m.%Y",
)
_MONTHS = ("%B %Y", "%b %Y", "%B, %Y", "%b, %Y")
_DAYS = ("%B %d %Y", "%b %d %Y", "%d %B %Y", "%d %b %Y")
_TIMES = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M%p", "%I %p", "%I%p", "%I.%M %p", "%H:%M utc")
_SLASHED = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4}|\d{2})")
"""Of which nobody can say whether the day or the month comes first; the year may be short."""
_ON = re.compile(r"^\s*(?:at|on|in)\s+(?=\w)", re.IGNORECASE)
_ZONE = re.compile(r"(?<=\d)\s*(?:z|gmt|utc)$")
_WEEKDAY = re.compile(r"^(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+")
_NAMED = {
    "12:00 noon": "12:00 pm",
    "12:00 midnight": "12:00 am",
    "noon": "12:00 pm",
    "12 noon": "12:00 pm",
    "midday": "12:00 pm",
    "midnight": "12:00 am",
}
_PART_OF_DAY = re.compile(r"(?<=\d)\s+in the (morning|afternoon|evening)$")
_HOURS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_NAMED_MINUTES = {"half": 30, "quarter": 15, "five": 5, "ten": 10, "twenty": 20, "twenty-five": 25}
_SPOKEN = re.compile(
    rf"(?:(?P<minutes>(?:a\s+)?(?:{'|'.join(sorted(_NAMED_MINUTES, key=len, reverse=True))}|[1-5]?\d))"
    r"(?:\s+minutes?)?\s+(?P<side>past|after|to|before)\s+)?"
    rf"(?P<hour>{'|'.join(_HOURS)}|1[0-2]|[1-9])(?P<exact>\s+o'clock)?(?P<rest>\s+.*|)",
    re.IGNORECASE,
)
_FRENCH = re.compile(r"(\d{1,2})\s*h\s*([0-5]\d)")
_HALF_DAY = re.compile(r"\s*([ap])\.?m\.?$", re.IGNORECASE)
_BETWEEN = re.compile(r"\s*(?:-|\u2013|\u2014|\bto\b|\buntil\b)\s*", re.IGNORECASE)
_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th)\b")
_DATED = re.compile(
    r".*?(?:noon|midday|midnight)|(?=.*\d).*?(?:[-/:]|\d\.\d+\.\d|o'clock|[ap]\.?m|morning|evening"
    r"|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
    re.DOTALL,
)
"""Something of this is in every date and time that is read here."""

_NAMES = r"days?|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s"
_PART = re.compile(rf"(\d+(?:\.\d+)?)\s*({_NAMES})\b\.?")
_DURATION = re.compile(rf"{_PART.pattern}(?:\s*(?:,\s*)?(?:and\s+)?{_PART.pattern})*")
_AND_HALF = re.compile(r"(?<![\d.])(\d{1,3}) and a half(?=\s+[a-z])")
_CLOCK = re.compile(r"(\d{1,2})(?::([0-5]\d)\s*(?:h|hrs?|hours?)|\s*h\s*([0-5]\d))")
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def same_moment(said: str, gold: str) -> bool:
    """Whether both are one date, or one time of day. `10:30` and `10:30 pm` are not."""
    if (one := _SLASHED.fullmatch(said.strip())) and (other := _SLASHED.fullmatch(gold.strip())):
        return _same_slashed(one, other)
    said, gold = (_in_figures(_unslashed(_ON.sub("", text, count=1))) for text in (said, gold))
    # Few texts are either, and trying all formats on one takes as long as the rest of its check.
    if not (_DATED.match(said.casefold()) and _DATED.match(gold.casefold())):
        return False
    # Both must be of one kind: 10:30 is a time, and no day of any month.
    for formats in (_DATES, _MONTHS, _DAYS, _TIMES):
        # Days of no year are read in a leap year, for the 29th of February.
        year = " 2000" if formats is _DAYS else ""
        first, second = _read(f"{said.rstrip('.')}{year}", formats), _read(f"{gold.rstrip('.')}{year}", formats)
        if first is not None and second is not None:
            return first == second
    return False


def same_span(said: str, gold: str) -> bool:
    """Whether both are one span of the day: `from 11:14 a.m. to 11:39 a.m.` for 11:14 - 11:39 am."""
    told, asked = _span(said), _span(gold)
    return bool(told and asked) and all(map(same_moment, told, asked))


def _span(text: str) -> tuple[str, ...]:
    """Both ends, where the first has the half of the day that only the second says; empty for anything else."""
    first, *rest = _BETWEEN.split(re.sub(r"^(?:from|between)\s+", "", text.strip(), flags=re.IGNORECASE))
    if len(rest) != 1 or not re.search(r"\d:\d\d|\d\s*[ap]\.?m", text, re.IGNORECASE):
        return ()
    half = _HALF_DAY.search(rest[0])
    if half and not _HALF_DAY.search(first):
        first = f"{first} {half[1]}m"
    return first, rest[0]


def _in_figures(text: str) -> str:
    """`9:30 in the morning` of `half past nine in the morning`, `4:45` of `4h45`; any other text as it is."""
    if french := _FRENCH.fullmatch(text.strip()):
        return f"{french[1]}:{french[2]}"
    spoken = _SPOKEN.fullmatch(" ".join(text.split()))
    if spoken is None or not (spoken["minutes"] or spoken["exact"]):
        return text
    hour = spoken["hour"].casefold()
    number = int(hour) if hour.isdigit() else _HOURS.index(hour) + 1
    minutes = _minutes(spoken["minutes"].casefold().removeprefix("a ")) if spoken["minutes"] else 0
    if spoken["side"] and spoken["side"].casefold() in ("to", "before"):
        # Half to nine is said nowhere, nor is 0 to nine.
        if minutes in (0, 30):
            return text
        number, minutes = (number - 2) % 12 + 1, 60 - minutes
    return f"{number}:{minutes:02}{spoken['rest']}"


def _unslashed(text: str) -> str:
    """`1998-11-18` of `11/18/1998`, of which one number can be no month; any other text as it is."""
    found = re.fullmatch(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})", text.strip())
    if found is None or (int(found[1]) > 12) == (int(found[2]) > 12):
        return text
    day, month = sorted((int(found[1]), int(found[2])), reverse=True)
    return f"{found[3]}-{month:02}-{day:02}"


def _minutes(text: str) -> int:
    return int(text) if text.isdigit() else _NAMED_MINUTES[text]


def _same_slashed(one: re.Match[str], other: re.Match[str]) -> bool:
    """`1/8/93` and `01/08/1993`."""
    days = all(int(one[place]) == int(other[place]) for place in (1, 2))
    return days and (one[3].endswith(other[3]) or other[3].endswith(one[3]))


def same_duration(said: str, gold: str) -> bool:
    """Whether both are one length of time: `1 hour 30 minutes`, `90 minutes`, `1.5 h`, `1:30 hours`."""
    first, second = _seconds(said), _seconds(gold)
    return first is not None and first == second


def _seconds(text: str) -> Fraction | None:
    text = _AND_HALF.sub(r"\1.5", in_digits(text))
    if clock := _CLOCK.fullmatch(text):
        return Fraction(int(clock[1]) * 3600 + int(clock[2] or clock[3]) * 60)
    if not _DURATION.fullmatch(text):
        return None
    parts = _PART.findall(text)
    names = [_UNITS[name[0]] for _, name in parts]
    # Each unit once, the larger first: `5 min 2 hours` is more likely two answers.
    if sorted(names, reverse=True) != names or len(set(names)) != len(names):
        return None
    return sum((Fraction(count) * unit for (count, _), unit in zip(parts, names, strict=True)), Fraction(0))


def _read(text: str, formats: tuple[str, ...]) -> datetime | None:
    text = " ".join(text.casefold().split())
    text = _ZONE.sub(" utc", _WEEKDAY.sub("", text.removeprefix("at ")))
    text = _NAMED.get(text, text.replace(" of ", " ").removeprefix("the "))
    text = re.sub(r"\b(jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec)\.", r"\1", text)
    text = _PART_OF_DAY.sub(lambda part: " am" if part[1] == "morning" else " pm", text)
    text = text.removesuffix(" o'clock")
    text = _ORDINAL.sub("", text.replace("a.m.", "am").replace("p.m.", "pm").replace("a.m", "am").replace("p.m", "pm"))
    for layout in formats:
        try:
            return datetime.strptime(text, layout)
        except ValueError:
            continue
    return None
