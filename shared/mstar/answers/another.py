"""Detects sentences that give the right value of another thing than the one asked for.

`The smallest bar is 12` where the question asks for the largest, `AB = 5` where it asks for AC, `Area = 34` where it
asks for the perimeter. What this leaves out: whether the value is right.
"""

import re
from collections.abc import Iterator

from mstar.answers.around import with_blank
from mstar.answers.dimensions import asked_quantity
from mstar.answers.heads import names_something_else
from mstar.answers.marks import plain
from mstar.answers.numbers import read_number
from mstar.answers.rule import DEFAULT_RULE
from mstar.answers.subjects import has_another_subject
from mstar.answers.superlatives import is_opposite
from mstar.answers.wanted import in_wanted_unit, singular
from mstar.types import Answer, AnswerType

_LONGEST = 30
"""Words; a longer text is not a bare answer."""
_SAME = {"average": "mean", "averages": "mean", "sum": "total", "circumference": "perimeter", "velocity": "speed"}
_MEASURES = {
    "area", "perimeter", "volume", "radius", "diameter", "mean", "median", "mode", "range", "slope", "circumference",
    "average", "subtotal", "total", "tax", "tip", "discount", "deposit", "shipping",
    "length", "width", "height", "depth", "force", "torque", "energy", "power", "mass", "speed", "pressure", "time",
    "temperature", "sum", "difference", "product", "quotient", "ratio",
}  # fmt: skip
_VALUE = re.compile(r"(?<![A-Za-z])\d[\d.,]*")
_NUMBERS = (AnswerType.INTEGER, AnswerType.FLOAT)
_BECAUSE = re.compile(r"[,;.]?\s+(?:because|since|as)\s", re.IGNORECASE)
_YES_NO = frozenset({"yes", "no", "true", "false"})
_FIGURES = r"(?:triangle|angle|side|segment|line|chord|arc|quadrilateral|rectangle|square|△|∠|\\triangle|\\angle)"
_ASKED = re.compile(
    r"\b(?:(?i:find|determine|calculate|compute|solve\s+for|what\s+is|what['\u2019]s)"
    r"|(?i:length|measure|value|size|degree|area|perimeter|midpoint)\s+of)\s+(?i:the\s+)?"
    rf"\$?m?\s*(?P<what>(?i:{_FIGURES})\s*)?\$?(?P<name>[A-Z]{{2,4}}|[a-z]|[1-9])\$?(?=\s*(?:[.,:?]|$|\s(?:in|if|when|to|as|for|that|so|such|given|where)\b))"
)
"""`find AC`, `the value of x`."""
_THEN = re.compile(
    r"\bthen\s+(?:the\s+)?(?:(?:length|measure|value|size|degree|area|perimeter)s?\s+of\s+)?(?:the\s+)?"
    rf"\$?(?P<what>(?i:{_FIGURES})\s*)?\$?(?P<name>[A-Z]{{2,4}}|[a-z]|[1-9])\$?\s*(?:=|\b(?:is|are|equals|measures)\b)"
)
"""`If angle 1 = 50°, then angle 2 is equal to ()`."""
_SYMBOLS = {
    "A": {"area", "amplitude"}, "f": {"frequency"}, "λ": {"wavelength"},
    "S": {"area"}, "P": {"perimeter", "power", "pressure"}, "C": {"perimeter"},
    "V": {"volume", "voltage"}, "m": {"slope", "mass"}, "k": {"slope"}, "b": {"intercept"}, "r": {"radius"},
    "R": {"radius", "resistance"}, "d": {"diameter", "distance"}, "D": {"diameter", "distance", "density"},
    "h": {"height"}, "I": {"current"}, "F": {"force"}, "E": {"energy"}, "v": {"speed"},
}  # fmt: skip
_SYMBOL = re.compile(r"\$?([A-Za-zλ])\s*(?:=|≈)")
_POINT_ASKED = re.compile(
    r"\b(?:coordinates|ordered\s+pair|location)\s+(?:of|for)\s+(?i:the\s+)?(?i:[a-z]+\s+)?\$?(?P<name>[A-Z])(?![A-Za-z])"
)
_MIDPOINT = re.compile(r"\bmidpoint\s+of\s+(?i:the\s+)?(?i:[a-z]+\s+)?\$?(?P<ends>[A-Z]{2})(?![A-Za-z])")
_OF_X = re.compile(r"(?<![A-Za-z\\])[fgh]\(x\)\s*=")
"""`f(x) = 6x - 4`, where the question says what f(x) is and asks for something else of it."""
_POINT_TOLD = re.compile(r"\$?(?i:point\s+)?(?P<name>[A-Z])\s*(?:=\s*)?(?:\\left\s*)?\(")
_EVENT = re.compile(r"\$?P\s*\(\s*(?:\\text\{)?\s*(?P<what>[A-Za-z]{3,20})\W")
"""`P(red) = …`"""
_ANY_EVENT = {"eve", "suc", "out", "not"}
_NAMED = re.compile(
    rf"(?P<what>(?i:{_FIGURES})\s*)?(?<![A-Za-z\\'\u2019])(?P<name>[A-Z]{{2,4}}|[a-z]|[1-9])(?![A-Za-z\d.]|\s*(?:∠|\\angle))"
)
_ANGLE = re.compile(r"angle|∠|\\angle", re.IGNORECASE)
_BY_HOW_MUCH = re.compile(r"\bby\s+(?:how|what)\b", re.IGNORECASE)
_PROPER = re.compile(r"\b[A-Z][a-z]+")
_NO_NAMES = {"The", "It", "They", "There", "This", "That", "He", "She", "In", "Because", "Since", "As", "Its"}
_OF_TWO = re.compile(r"\b(?P<what>difference|ratio|sum|product|gap)\s+(?:between|of|in)\b", re.IGNORECASE)
_OF_BOTH = ({"difference", "gap"}, {"ratio", "to"}, {"sum", "total"}, {"product"})
_NO_THINGS = {"the", "a", "is", "was", "of", "in", "are", "number", "answer", "value"}
_HEAD = re.compile(r"the\s+(?P<head>[^=:]{3,80}?)\s+(?:is|was|are|were)\s", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.?!])\s+")
_ASKS = re.compile(r"\b(?:what|how|which|find)\b", re.IGNORECASE)
_JOINED = re.compile(r"\b(?:an?|the|\d+)\s+([a-z]{3,})\s+and\s+(?:an?|the|\d+)\s+([a-z]{3,})\b")
"""`a necklace and a ring`"""
_MORE = re.compile(r"\bhow\s+many\s+(?:more|fewer|less)\b.*\bthan\b", re.IGNORECASE)
_PLAIN_COUNT = re.compile(r"\d[\d,]*(?:\s+(?!(?:more|fewer|less|than)\b)[^\W\d_]+){2,}")
"""`8 students walk`, where the question asks how many more they are."""
_CHANGED_TO = re.compile(r"(?<!compared )\b(?:to|from)\s+[$€£]?\d")
"""`It rose to 8`, where the question asks by how much."""
_CALL = re.compile(r"\$?([a-zA-Z]'{0,2}\(-?\d{1,4}\))")
"""`f(2)`"""
_ANGLE_NAMED = re.compile(r"(?:\b[Aa]ngle\s+|∠\s*|\\angle\s*|角\s*)([A-Z]{1,3})(?![A-Za-z])")
_LETTERED = re.compile(
    r"(?<!\\)\b(?!(?i:angle|triangle|side|arc|line|segment)\b)([A-Za-z]{3,12})\s+\$?([A-Z]\d{0,2}|\d{1,2})\$?(?![\w.,]\w|\w)"
)
"""`point B`, `station 3`"""
_EQUALS = re.compile(r"=|≈|\\approx\b|\b(?:is|are|equals|measures)\b")


def says_another(said: str, answer: Answer, question: str) -> bool:
    """Whether the words beside a value are of another thing. `said`: the answer, which has the right value."""
    text = _BECAUSE.split(said, maxsplit=1)[0].strip("$* ").rstrip(".* ")
    gold = plain(answer.value)
    options = {plain(choice) for choice in answer.choices}
    if question and gold in _YES_NO and not options:
        return _other_names(text, question)
    if not question or ({gold} | options) & _YES_NO or len(text) < 4 or len(text.split()) > _LONGEST:
        return False
    told, asked = _words(text), _words(question)
    # Words of the reference or of an option say what the answer is, and not of what.
    told -= _words(" ".join((gold, *options, *map(plain, answer.alternatives))))
    return (
        is_opposite(text, told, asked, question)
        or _other_measure(told, asked)
        or _other_symbol(text, question)
        or _one_of_two(text, told, question)
        or _other_name(text, question)
        or has_another_subject(text, question)
        or (answer.type in _NUMBERS and _other_lettered(_VALUE.sub("", text), question))
        or names_something_else(text, with_blank(question), _words(" ".join((gold, *options))))
        or (_MORE.search(question) is not None and _PLAIN_COUNT.fullmatch(text) is not None)
        or (_BY_HOW_MUCH.search(question) is not None and " by " not in text and _CHANGED_TO.search(text) is not None)
        or (answer.type is AnswerType.CHOICE and _other_unit(text, answer, question))
    )


def _other_measure(told: set[str], asked: set[str]) -> bool:
    wanted = {_SAME.get(word, word) for word in asked & _MEASURES}
    named = {_SAME.get(word, word) for word in told & _MEASURES}
    return bool(wanted and named) and named.isdisjoint(wanted)


def _other_names(text: str, question: str) -> bool:
    """`Yes, Ann is taller`, where the question is about Tom, and Ann is none of its names."""
    told = {name for name in _PROPER.findall(text.partition(" ")[2])} - _NO_NAMES
    asked = set(_PROPER.findall(question.partition(" ")[2]))
    return bool(told and asked) and told.isdisjoint(re.findall(r"\w+", question))


def _one_of_two(text: str, told: set[str], question: str) -> bool:
    """`The highest is 122` where the question asks for a difference, and `to buy a hat` for a hat and a ring."""
    between, head = _OF_TWO.search(question), _HEAD.match(text)
    named = _words(head["head"]) if head else set()
    if between and named - _NO_THINGS:
        alike = next((words for words in _OF_BOTH if between["what"].casefold() in words), {between["what"].casefold()})
        if _singulars(named) <= _singulars(_words(question)) and named.isdisjoint(alike):
            return True
    asking = next((one for one in reversed(_SENTENCE.split(question)) if _ASKS.search(one)), "")
    pairs = _JOINED.findall(asking)
    return any((one.casefold() in told) != (other.casefold() in told) for one, other in pairs)


def _singulars(words: set[str]) -> set[str]:
    return set(map(singular, words))


def _other_unit(text: str, answer: Answer, question: str) -> bool:
    """`4 squares` for the option 4, where the question asks how many triangles there are."""
    number = read_number(text, DEFAULT_RULE)
    if number is None or not number.unit or any(map(str.isalpha, "".join(answer.choices))):
        return False
    return in_wanted_unit(number.value, number.unit, question) is None


def _other_symbol(text: str, question: str) -> bool:
    """`A = 34`, where the question asks for a perimeter and names no A."""
    found = _SYMBOL.match(text)
    wanted = asked_quantity(question)
    wanted = _SAME.get(wanted, wanted)
    meant = _SYMBOLS.get(found[1]) if found else None
    if found is None or meant is None or wanted in meant or not any(wanted in names for names in _SYMBOLS.values()):
        return False
    return re.search(rf"(?<![A-Za-z]){found[1]}(?![A-Za-z])", question) is None


def _other_name(text: str, question: str) -> bool:
    """Whether what stands before `=` or a verb has a letter's name of the asked kind, and the question has it not."""
    event = _EVENT.match(text)
    if event and "probability" in question.casefold():
        starts = {word[:3] for word in _words(question)}
        return event["what"][:3].casefold() not in starts | _ANY_EVENT
    if _OF_X.match(text) and _OF_X.search(question) and not re.search(r"(?i:find|determine)\s+\$?[fgh]\(", question):
        return True
    point, told = _POINT_ASKED.search(question), _POINT_TOLD.match(text)
    if point and told:
        return point["name"] != told["name"]
    if told and (middle := _MIDPOINT.search(question)) and told["name"] in middle["ends"]:
        return True
    calls, call = set(_CALL.findall(question)), _CALL.match(text)
    if call and calls and call[1] not in calls:
        return True
    *heads, _ = _EQUALS.split(text)
    if _other_lettered(" ".join(heads), question):
        return True
    angles, called = _angles(question), _angles(" ".join(heads))
    if len(angles) == 1 and called and angles.isdisjoint(called):
        return True
    asked = [_key(found) for pattern in (_ASKED, _THEN) for found in pattern.finditer(question)]
    names = [name for head in heads for name in _names(head)]
    if not any(asked) or not names or not set(names).isdisjoint(asked):
        return False
    return any(len(name) in map(len, asked) for name in names if name)


def _other_lettered(head: str, question: str) -> bool:
    """`The pressure at point A` where the question asks for the one at point B, and has no point A."""
    told, asked = ({(noun.casefold(), name) for noun, name in _LETTERED.findall(part)} for part in (head, question))
    return not {noun for noun, _ in told - asked}.isdisjoint(noun for noun, _ in asked)


def _angles(text: str) -> set[str]:
    """Where the angles that a text names have their vertex."""
    return {name[len(name) // 2] for name in _ANGLE_NAMED.findall(text) if len(name) != 2}


def _names(head: str) -> Iterator[str]:
    """`AB` of `Area of triangle AB`; no letter of a word or of a function of it, such as `f(x)`."""
    if "(" not in head:
        yield from (_key(found) for found in _NAMED.finditer(head) if found["name"] != "a")


def _key(found: re.Match[str]) -> str:
    """A name whatever end it begins at: `AC` of CA. Of an angle the middle is the vertex, and stays there."""
    name, of_angle = found["name"], found["what"] is not None and _ANGLE.match(found["what"])
    if name.isdigit():
        return f"∠{name}" if of_angle else ""
    if len(name) == 3 and of_angle:
        return name if name[0] < name[2] else name[::-1]
    return "".join(sorted(name))


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.casefold()))
