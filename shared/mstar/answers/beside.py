"""Finds an answer next to supporting remarks: `France (23.4%)`, `the second bar, France`, `Page 17`.

Only figures, and words that say where in the picture it is or what kind of thing, are taken off. Any other word beside
an answer may be a second one. What this leaves out: whether the answer is right.
"""

import re
from collections.abc import Iterator

from mstar.answers.wanted import numbered

_FIGURE = (
    r"(?:about\s+|approximately\s+|~|≈\s*)?[$€£¥₹]?-?\d[\d.,]*"
    r"\s*(?:%|°|percent|[kKMB]|[cmk]?m|kg|g|(?:million|billion|thousand)?(?:\s*[a-z]{2,12}){0,2})?"
)
_SUPPORTED = re.compile(
    r"(?P<name>[^\s\d(),;:][^\d(),;:]{1,58}[^\s\d(),;:])\s*"
    rf"(?:\(\s*{_FIGURE}\s*\)|,?\s+(?:with|at)\s+{_FIGURE}(?:\s+[a-z]{{2,20}})?|:\s*{_FIGURE}(?=%|$)%?)"
)
"""A name with its figure after it."""
_COUNT_OF = re.compile(
    r"(?:in\s+)?(?P<counted>(?P<count>\d{1,2})(?:\s+[a-z]{2,20}){0,2})\s*\((?P<listed>[^()]+)\)",
    re.IGNORECASE,
)
_PLACED = re.compile(r"(?:the|its)\s+(?P<place>[a-z][a-z -]{2,40}),\s+(?P<name>[^,]{2,60})")
_PLACES = {
    "bar", "line", "slice", "column", "row", "point", "dot", "segment", "sector", "item", "label", "one", "option",
    "first", "second", "third", "fourth", "fifth", "sixth", "last", "left", "right", "leftmost", "rightmost", "top",
    "bottom", "middle", "upper", "lower", "tallest", "shortest", "longest", "highest", "lowest", "largest", "smallest",
    "biggest", "in", "on", "of", "the", "from", "chart", "graph", "table", "picture", "image", "figure", "map",
}  # fmt: skip
"""Words that say where something is in a picture, and never what it is."""
_OF_KIND = re.compile(r"(?:the\s+)?(?P<kind>[a-z]{3,20})\s+of\s+(?P<name>[A-Z][^,;()]{1,60})", re.IGNORECASE)
_EXPLAINED = re.compile(
    r"(?P<name>(?:[A-Z][^,;:()]{1,60}(?=,\s+an?\s)|[^\s\d,;:()][^,;:()]{1,60})),\s+(?:the|an?|which|who|where)\s.{3,120}"
)
"""`Abraham Lincoln, the 16th president`."""
_SHOWN = re.compile(
    r"(?:there\s+(?:is|are)\s+)?(?P<name>[^,;.]{2,60}?)\s+(?:shown\s+)?in\s+the\s+(?:picture|image|photo|figure|scene)",
    re.IGNORECASE,
)
_ASKED_KIND = r"\b(?:which|what)\s+{}\b"
_NAMES_NOTHING = re.compile(r"\b(?:not|no|or|and|but|nor|neither|except|than|without|none)\b", re.IGNORECASE)


def _listed(text: str) -> Iterator[str]:
    """`3` of `3 (2011, 2013 and 2015)`: a count with what was counted, as many things as it says."""
    if found := _COUNT_OF.fullmatch(text):
        parts = re.split(r"\s*,\s*(?:and\s+)?|\s+and\s+", found["listed"])
        if len(parts) == int(found["count"]) and all(parts):
            yield found["counted"]


def answers_beside(text: str, question: str) -> Iterator[str]:
    """What stands beside figures, a place in the picture, or the kind of thing that is asked for."""
    if noun := numbered(question):
        found = re.fullmatch(
            rf"(?:{noun}|{noun[0]}\.|no\.|number|#)\s*(?:number|no\.?|#)?\s*:?\s*(\d+)", text, re.IGNORECASE
        )
        if found:
            yield found[1]
    if "how many" in question.casefold():
        yield from _listed(text)
    if _NAMES_NOTHING.search(text):
        return
    # In capitals it may be a number itself: `MCMXCIV (1996)`.
    if (found := _SUPPORTED.fullmatch(text)) and not found["name"].isupper():
        yield found["name"]
    if (found := _PLACED.fullmatch(text)) and set(re.split(r"[ -]+", found["place"])) <= _PLACES:
        yield found["name"]
    if found := _EXPLAINED.fullmatch(text):
        yield found["name"]
    if found := _SHOWN.fullmatch(text):
        yield found["name"]
    found = _OF_KIND.fullmatch(text)
    named = found and found["name"][:1].isupper() and re.search(rf"\b{found['kind']}\b", question)
    if found and (named or re.search(_ASKED_KIND.format(found["kind"]), question, re.IGNORECASE)):
        yield found["name"]
