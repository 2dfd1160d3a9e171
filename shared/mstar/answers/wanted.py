"""What a question counts or measures, so that a number of something else is another answer.

`2 cats` is not an answer to how many dogs there are, `45 radians` none to an angle in degrees, and `12th` none to how
many students there are. What this leaves out: what the reference answer's own unit says (`units`), which comes first.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from mstar.answers.dimensions import is_of_another_kind
from mstar.answers.units import contradict, factor, is_known, is_percent, same_unit

_HOW_MANY = re.compile(
    r"\b(?:how\s+many|what\s+number\s+of|(?:what\s+(?:is|was)|find)\s+the\s+(?:total\s+)?number\s+of|\bnumber\s+of|\bwie\s+viele|\bcu[áa]nt[ao]s|\bcombien\s+de|\bquant[aei])\s+((?:[^\W\d_][\w'\u2019-]*\s*){1,8})",
    re.IGNORECASE,
)
_OF_THEM = re.compile(r"of\s+(?:the|these|those|them|all)\s*", re.IGNORECASE)
_ENDS = {
    "are", "is", "was", "were", "be", "do", "does", "did", "can", "could", "will", "would", "should", "must", "may",
    "has", "have", "had", "in", "on", "of", "at", "to", "for", "from", "by", "with", "without", "that", "which", "who",
    "whose", "there", "per", "than", "between", "above", "below", "over", "under", "inside", "outside", "you", "we",
    "they", "he", "she", "it", "i", "the", "and", "or", "if", "when", "remain", "remains", "remained",
}  # fmt: skip
"""Words that end what is counted: `red cubes` of `how many red cubes are left`."""
ANYTHING = {
    "object", "item", "thing", "unit", "time", "piece", "one", "element", "instance", "example", "case", "entry",
    "person", "individual", "total", "different", "distinct", "unique", "whole", "full", "such", "more", "fewer",
    "less", "altogether", "left", "remaining", "all", "each", "a", "an",
}  # fmt: skip
"""Words that name whatever is counted."""
_SOMEBODY = {"person", "individual"}
_ONE_OF = {
    "people": "person", "children": "child", "kid": "child", "kids": "child", "men": "man", "women": "woman",
    "feet": "foot", "teeth": "tooth", "mice": "mouse", "geese": "goose", "persons": "person", "humans": "person",
    "leaves": "leaf", "shelves": "shelf", "halves": "half", "vertices": "vertex", "axes": "axis", "indices": "index",
    "mums": "mother", "moms": "mother",
}  # fmt: skip
_WITH_S = {"was", "has", "does", "its", "gas", "yes", "lens", "always", "species", "series"}
_NOTHING = _ENDS | {"them", "these", "those", "all"}
_LENGTHS = "inch|inches|feet|foot|yards?|miles?|(?:kilo|centi|milli)?met(?:er|re)s?|[ckm]?m|ft"
_UNITS = (
    rf"(?:square|cubic|sq\.?|cu\.?)\s+(?:{_LENGTHS})|{_LENGTHS}|degrees?(?:\s+(?:celsius|fahrenheit))?|radians?"
    r"|seconds?|minutes?|hours?|days?|weeks?|months?|years?|(?:kilo|milli)?grams?|kg|pounds?|ounces?|tons?|tonnes?"
    r"|(?:milli)?lit(?:er|re)s?|ml|gallons?|quarts?|pints?|cups?|(?:u\.?s\.?\s+)?dollars?|usd|cents?|euros?"
    r"|percent|dB|decibels?|volts?|amp(?:ere)?s?|ohms?|watts?|newtons?|joules?|pascals?|hertz|celsius|fahrenheit|kelvin"
    r"|mph|km/h|m/s|cm\^?[23]|m\^?[23]|[$€£¥₹¢%](?![\\A-Za-z\d])|℃|℉|°\s?[CF]?"
)
_WHICH_NUMBER = re.compile(r"\b(?:what|which)\s+number\s+(?:is|are|was|appears|does|do|can|on)\b", re.IGNORECASE)
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALE = rf"(?:(?P<scale>{'|'.join(_SCALES)})s?)"
_MEASURED = re.compile(
    rf"(?:\bin\s+(?:the\s+unit\s+of\s+)?|\bto\s+the\s+nearest\s+|\bunits?\s*[:=]\s*)(?:{_SCALE}\s+(?:of\s+)?)?"
    rf"(?P<unit>{_UNITS})(?![\w/^])|\bunit\s*[:=]\s*(?P<short>[a-z]{{1,3}})\b",
    re.IGNORECASE,
)
_SCALED = re.compile(rf"\b(?:in\s+(?:(?:us|u\.s\.)\s*)?[$€£]?\s*|how\s+many\s+){_SCALE}\b", re.IGNORECASE)
_MORE = re.compile(r"\bhow\s+much\s+(?P<more>more|less)\b", re.IGNORECASE)
_OF_EACH = re.compile(
    r"\b(?:sum|average|mean|median|difference)\s+(?:of|between|in)\s+(?:the\s+)?(?!(?:number|amount|count)s?\b)(?P<what>\w+)\s+of\b",
    re.IGNORECASE,
)
_CHINESE_COUNT = re.compile(r"几|有多少")
_CLASSIFIERS = "个只条张本人名辆位头匹棵朵件块支"
_PLACES = re.compile(r"\bhow\s+many\s+(?P<place>tens|hundreds|thousands)\b", re.IGNORECASE)
_NUMBERED = re.compile(
    r"\b(?:what(?:['\u2019]s|\s+(?:is|was))\s+the\s+(?P<noun>[a-z]{3,20})\s+(?:number|no\b)|(?:what|which)\s+(?P<what>page|chapter|slide|room|table|figure)\b)",
    re.IGNORECASE,
)
"""What goes by a number: `the page number`."""
_AGE = re.compile(
    r"\bhow\s+old\b|\bwhat(?:\s+is|['\u2019]s|\s+was)\s+(?:the\s+)?(?:[\w'\u2019]+\s+){0,3}age\b", re.IGNORECASE
)
"""An age is in years where the question says nothing else."""
_PER = re.compile(r"\bper\s+([a-z]{3,12})\b(?!\s*cent)", re.IGNORECASE)
_DWELLERS = ("people", "person", "inhabitant", "resident", "citizen", "thousand", "million", "billion")
_PERCENT = re.compile(r"\bpercent(?:age)?\b", re.IGNORECASE)
_POINTS = re.compile(r"\bpercent(?:age)?\s+points?\b", re.IGNORECASE)
_AMOUNT = re.compile(
    r"\bhow\s+(?:many|much|long|far|tall|old|high|wide|deep|heavy|fast)\b"
    r"|\b(?:value|sum|total|average|mean|median|difference|number of|percent|percentage|ratio|area|perimeter|volume"
    r"|gap|age|amount|price|cost|length|width|weight|mass|distance|temperature|speed|height|depth|capacity)\b",
    re.IGNORECASE,
)


def in_wanted_unit(value: Fraction, unit: str, question: str) -> Fraction | None:
    """The value in the unit that the question names, or as it is where it names none; None for another kind of unit.

    `unit`: what stands after the response's number, which the reference answer says nothing of.
    """
    if _POINTS.search(question) and (same_unit(unit, "pp") or is_percent(unit) or unit.casefold() == "points"):
        return value
    # `23 players`, where the question asks which number is on their jerseys.
    if unit and _WHICH_NUMBER.search(question):
        return None
    measured, first = _OF_EACH.search(question), singular(unit.split()[0]) if unit.split() else ""
    if measured and first in map(singular, question.split()) and first != singular(measured["what"]):
        return None  # `12 boys`, where the question asks for the sum of the ages of the boys
    # `2只狗`, where the question asks how many cats there are.
    if _CHINESE_COUNT.search(question) and not is_known(unit) and not set(unit) <= {*question, *_CLASSIFIERS}:
        return None
    if unit in ("$", "€", "£", "¥", "₹") and _PERCENT.search(question):
        return None
    wanted = _units(question)
    if any(same_unit(unit, one) for one in wanted):
        return value
    if is_of_another_kind(unit, question) or _per_another(unit, question):
        return None
    # More than a full turn is hardly ever said in radians without pi.
    if same_unit(unit, "radian") and abs(value) > 7 and "radian" not in question.casefold():
        return None
    if wanted and (is_known(unit) or is_percent(unit) or any(contradict(unit, one) for one in wanted)):
        times = next((found for one in wanted if (found := factor(unit, one)) is not None), None)
        return None if times is None else value * times
    # `18 dogs`, where it asks for months, says another noun of the question.
    first = singular(unit.split()[0]) if unit.split() else ""
    # `17 pages` is how many there are, and no page's number.
    if first and first == numbered(question):
        return None
    if is_percent(unit.split(" of ")[0]) and not _of_them(unit, question):
        return None
    shared = _PERCENT.search(question) is not None and first not in ("percent", "percentage", "%", "")
    if (wanted or shared) and first in map(singular, question.split()) and first not in ANYTHING:
        return None
    return value if _counts(unit, question) and not _is_stray(unit, question) else None


def _is_stray(unit: str, question: str) -> bool:
    """Whether a noun behind a number is none of the question's, which asks for a population."""
    asked = set(map(singular, re.findall(r"[^\W\d_]+", question)))
    return "population" in asked and not is_known(unit) and not is_percent(unit) and not _named(unit.split(), _DWELLERS)


def _per_another(unit: str, question: str) -> bool:
    """Whether it is `per month`, where the question asks for something per year."""
    told, asked = _PER.findall(unit), _PER.findall(question)
    return bool(told and asked) and set(map(singular, told)).isdisjoint(map(singular, asked))


def without_stuff(unit: str, question: str) -> str:
    """`litres` of `litres of water`, where the question is about water."""
    name, of, stuff = unit.partition(" of ")
    return name if of and is_known(name) and stuff.casefold() in question.casefold() else unit


def _of_them(unit: str, question: str) -> bool:
    """Whether `percent of voters` is of what the question speaks of; true without the last words."""
    known = set(map(singular, re.findall(r"[\w'-]+", question))) | ANYTHING | _NOTHING
    return all(singular(word) in known for word in unit.partition(" of ")[2].split())


def wanted_unit(question: str) -> str:
    """The first unit in which a question asks for its answer; empty where it names none."""
    return next(iter(_units(question)), "")


def asks_amount(question: str) -> bool:
    """Whether a place in an order, `12th`, is not an answer."""
    return _AMOUNT.search(question) is not None


def wanted_scale(question: str) -> int | None:
    """10⁹ where the question asks for a value in billions, of which the reference says the count alone."""
    found = _SCALED.search(question)
    return _SCALES[found["scale"].casefold()] if found else None


def named_scale(unit: str) -> int | None:
    """10³ where the unit of the reference is `thousand`; None for any other."""
    return _SCALES.get(unit.casefold())


def without_place(said: str, question: str) -> str:
    """`34` of `34 tens`, where the question asks how many tens there are; `$5` of `$5 more`, where how much more."""
    if more := _MORE.search(question):
        said = re.sub(rf"(?<=\w)\s+{more['more']}\s*\.?$", "", said, flags=re.IGNORECASE)
    place = _PLACES.search(question)
    return re.sub(rf"\s+{place['place']}\s*\.?$", "", said, flags=re.IGNORECASE) if place else said


def numbered(question: str) -> str:
    """`page`, where the question asks for the page number; empty where it asks for none."""
    found = _NUMBERED.search(question)
    return (found["noun"] or found["what"]).casefold() if found else ""


def is_none(said: str, question: str) -> bool:
    """Whether `none`, `none of the dogs` or `no dogs` says that there is nothing of what the question counts."""
    counted = _counted(question)
    if counted is None:
        return False
    words = re.sub(r"^there\s+(?:is|are|was|were)\s+", "", said.casefold().strip(" .")).split()
    if words[:1] == ["none"]:
        left = words[1:]
        named = [one for one in left[1:] if one not in _NOTHING]
        return not left or (left[0] == "of" and "above" not in left and _named(named, counted))
    end = next((place for place, word in enumerate(words) if word in _ENDS), len(words))
    # `No bars have values below 5`, where the question asks how many bars have.
    rest = set(map(singular, words[end:])) <= set(map(singular, question.split())) | _ENDS
    return words[:1] == ["no"] and end > 1 and rest and _named(words[1:end], counted)


def names_counted(words: Sequence[str], question: str) -> bool:
    """Whether words after a number are of what the question counts, and of nothing else that it speaks of."""
    counted = _counted(question)
    if counted is None:
        return True
    # `red spheres` where red cubes are counted: what is counted is named last.
    named = [singular(word) for word in words]
    return named[0] in counted and (counted[-1] in named or all(word in counted for word in named))


def singular(word: str) -> str:
    """A noun's singular, as far as its ending tells."""
    word = word.casefold().strip(".,;:?!()\"'*")
    if word in _ONE_OF:
        return _ONE_OF[word]
    for ending, instead in (("ies", "y"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word.removesuffix(ending) + instead
    return word if len(word) < 3 or word.endswith(("ss", "us", "is")) or word in _WITH_S else word.removesuffix("s")


def _counts(unit: str, question: str) -> bool:
    """Whether the words after a number are what the question counts. True where it counts nothing."""
    counted = _counted(question)
    if counted is None:
        return True
    if is_percent(unit):
        return "percent" in counted
    words = re.sub(r"[().]", " ", unit).split()
    end = next((place for place, word in enumerate(words) if word.casefold() in _ENDS), len(words))
    # `2 people` where objects are counted that are liked by people.
    named = {singular(word) for word in words[:end]}
    if named & _SOMEBODY - set(counted) & set(map(singular, question.split())):
        return False
    return end == 0 or _named(words[:end], counted)


def _named(words: Sequence[str], counted: tuple[str, ...]) -> bool:
    return all(singular(word) in counted or singular(word) in ANYTHING for word in words)


@lru_cache(maxsize=4096)
def _counted(question: str) -> tuple[str, ...] | None:
    """What `how many` stands before, each word in its singular; None where a question counts nothing that it names."""
    asked = _HOW_MANY.findall(question)
    words: list[str] = []
    for word in _OF_THEM.sub("", asked[-1] if asked else "", count=1).split():
        if word.casefold() in _ENDS:
            break
        words.append(singular(word))
    return tuple(words) or None


@lru_cache(maxsize=4096)
def _units(question: str) -> tuple[str, ...]:
    """Units in which the question asks for its answer: `degrees` of `in degrees`, `liter` of `how many liters`."""
    asked = tuple(found["unit"] or found["short"] for found in _MEASURED.finditer(question))
    if not asked and _AGE.search(question):
        asked = ("years",)
    counted = _counted(question) or ()
    return asked + tuple(word for word in counted if re.fullmatch(_UNITS, word, re.IGNORECASE))
