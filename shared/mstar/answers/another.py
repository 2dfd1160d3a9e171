"""Tells when a sentence gives the right value of another thing than the one that is asked for.

`The smallest bar is 12` where the question asks for the largest, `AB = 5` where it asks for AC, `Area = 34` where it
asks for the perimeter. What this leaves out: whether the value is right.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from mstar.answers.marks import plain
from mstar.types import Answer

_LONGEST = 30
"""Words; a longer text is no bare answer."""
_SIDES = (
    ({"largest", "biggest", "greatest", "highest", "maximum", "most", "tallest", "longest", "top"},
     {"smallest", "lowest", "minimum", "least", "fewest", "shortest", "bottom"}),
    ({"oldest"}, {"youngest", "newest"}),
    ({"earliest", "first"}, {"latest", "last"}),
    ({"fastest"}, {"slowest"}),
    ({"heaviest"}, {"lightest"}),
    ({"widest"}, {"narrowest"}),
    ({"best"}, {"worst"}),
    ({"leftmost"}, {"rightmost"}),
    ({"darkest"}, {"lightest"}),
    ({"hottest", "warmest"}, {"coldest", "coolest"}),
    ({"farthest", "furthest"}, {"closest", "nearest"}),
)  # fmt: skip
_OPPOSED = [pair for one, other in _SIDES for pair in ((one, other), (other, one))]
_SAME = {"average": "mean", "averages": "mean", "circumference": "perimeter"}
_MEASURES = {
    "area", "perimeter", "volume", "radius", "diameter", "mean", "median", "mode", "range", "slope", "circumference",
    "average",
}  # fmt: skip
_BECAUSE = re.compile(r"[,;.]?\s+(?:because|since|as)\s", re.IGNORECASE)
_YES_NO = frozenset({"yes", "no", "true", "false"})
_FIGURES = r"(?:triangle|angle|side|segment|line|chord|arc|quadrilateral|rectangle|square|△|∠|\\triangle|\\angle)"
_ASKED = re.compile(
    r"\b(?:(?i:find|determine|calculate|compute|solve\s+for|what\s+is|what['\u2019]s)"
    r"|(?i:length|measure|value|size|degree|area|perimeter)\s+of)\s+(?i:the\s+)?"
    rf"(?:(?i:{_FIGURES})\s*)?\$?(?P<name>[A-Z]{{2,4}}|[a-z])\$?(?=\s*(?:[.,?]|$|\s(?:in|if|when|to|as|for|that|so|such|given|where)\b))"
)
"""`find AC`, `the value of x`."""
_EVENT = re.compile(r"\$?P\s*\(\s*(?:\\text\{)?\s*(?P<what>[A-Za-z]{3,20})\W")
"""`P(red) = …`"""
_ANY_EVENT = {"eve", "suc", "out", "not"}
_NAMED = re.compile(r"(?<![A-Za-z\\'\u2019])([A-Z]{2,4}|[a-z])(?![A-Za-z]|\s*(?:∠|\\angle))")


def says_another(said: str, answer: Answer, question: str) -> bool:
    """Whether the words beside a value are of another thing. `said`: the answer, which has the right value."""
    text = _BECAUSE.split(said, maxsplit=1)[0]
    gold = plain(answer.value)
    options = {plain(choice) for choice in answer.choices}
    if not question or ({gold} | options) & _YES_NO or not 2 <= len(text.split()) <= _LONGEST:
        return False
    told, asked = _words(text), _words(question)
    # Words of the reference or of an option say what the answer is, and not of what.
    told -= _words(" ".join((gold, *options, *map(plain, answer.alternatives))))
    return _opposite(text, told, asked, question) or _other_measure(told, asked) or _other_name(text, question)


def _opposite(text: str, told: set[str], asked: set[str], question: str) -> bool:
    """Whether the other end of a scale is named; where the question names both, before the same noun."""
    said, wanted = _in_pairs(text), _in_pairs(question)
    return any(
        told & one
        and asked & other
        and (
            not asked & one
            or any(
                first in told & one
                and not any((same, noun) in wanted for same in one)
                and any((opposite, noun) in wanted for opposite in other)
                for first, noun in said
            )
        )
        for one, other in _OPPOSED
    )


def _in_pairs(text: str) -> set[tuple[str, str]]:
    words = re.findall(r"[a-z]+", text.casefold())
    return set(pairwise(words))


def _other_measure(told: set[str], asked: set[str]) -> bool:
    wanted = {_SAME.get(word, word) for word in asked & _MEASURES}
    named = {_SAME.get(word, word) for word in told & _MEASURES}
    return bool(wanted and named) and named.isdisjoint(wanted)


def _other_name(text: str, question: str) -> bool:
    """Whether what stands before `=` or a verb has a letter's name of the asked kind, and the question has it not."""
    event = _EVENT.match(text)
    if event and "probability" in question.casefold():
        starts = {word[:3] for word in _words(question)}
        return event["what"][:3].casefold() not in starts | _ANY_EVENT
    head = re.split(r"=|≈|\\approx\b|\b(?:is|are|equals|measures)\b", text, maxsplit=1)
    asked = [found["name"] for found in _ASKED.finditer(question)]
    if len(head) < 2 or not asked:
        return False
    known = {"".join(sorted(name)) for name in _NAMED.findall(question)} - {"a"}
    return any(
        len(name) in map(len, asked) and "".join(sorted(name)) not in known and name != "a" for name in _names(head[0])
    )


def _names(head: str) -> Iterator[str]:
    """`AB` of `Area of triangle AB`; no letter of a word or of a function of it, such as `f(x)`."""
    if "(" not in head:
        yield from _NAMED.findall(head)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.casefold()))
