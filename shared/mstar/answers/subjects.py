"""Detects when the subject of a sentence differs from the question's, word by word.

`The share of gas` where the question asks for the share of coal, `the ratio of girls to boys` for boys to girls.
Only a subject that follows the question's own words is compared; what this leaves out: synonyms, which are no other
thing.
"""

import re
from collections.abc import Sequence

from mstar.answers.wanted import ANYTHING, singular

_VERB = re.compile(
    r"=|≈|:\s|\b(?:is|are|was|were|equals|measures|has|have|had|will|would|can|could|does|did|shows|reads|costs?|weighs|takes|took|earns|needs)\b"
)
_YEAR = re.compile(r"(?<![\d.,])(?:1[5-9]|20)\d\d(?!\d|[.,]\d)")
_SPAN = re.compile(
    r"\b(?:between|from)\s+(?:1[5-9]|20)\d\d\s+(?:and|to)\s|\b(?:1[5-9]|20)\d\d\s+and\s+(?:1[5-9]|20)\d\d",
    re.IGNORECASE,
)
"""Two years that a question asks about at once, so that one of them alone is another time."""
_ASKS_AMOUNT = re.compile(r"\bhow\s+(?:many|much)\b|\b(?:number|total|sum)\s+of\b", re.IGNORECASE)
_DIGIT = re.compile(r"\d")
_LEFT = re.compile(r"\b(?:left|remain(?:s|ing)?)\b", re.IGNORECASE)
_IF_FIRST = re.compile(r"(?:if|when|as)\s+(?P<condition>[^,]+),", re.IGNORECASE)
_IF_BEHIND = re.compile(
    r"\b(?:what|how|find|which)\b.*?\b(?:if|when|after(?!\s+\d))\s+(?P<condition>.+?)[?.]?$", re.IGNORECASE
)
_PRONOUNS = {"it", "they", "there", "he", "she", "we"}
_HAPPENS_TO = re.compile(r"\bhappens?\s+to\b", re.IGNORECASE)
_ARTICLES = {"the", "a", "an", "this", "that", "these", "those", "your", "our", "its"}
_TURNS = {"to", "than", "from", "by", "over", "minus", "versus"}
"""Between two things whose order counts."""
_OF = _TURNS | {"of", "for", "in", "on", "at", "with", "about"}
"""In front of what a quantity is of."""
_ANY_THING = ANYTHING | {
    "it", "them", "him", "her", "figure", "shape", "region", "polygon", "solid", "bar", "line", "side", "segment",
    "angle", "part", "image", "picture", "chart", "graph", "diagram", "table", "map", "photo", "year", "question",
    "number", "value", "what", "which", "how", "both", "triangle", "circle", "square", "rectangle", "label",
}  # fmt: skip
"""Words that may stand for whatever the question calls otherwise."""

_NO_KINDS = _OF | {
    "is", "are", "was", "were", "be", "does", "did", "do", "find", "calculate", "determine", "compute", "estimate",
    "give", "state", "read", "name", "and", "or", "if", "then", "had", "has", "have", "total", "overall", "final",
    "combined", "average", "mean", "approximate", "exact", "correct", "estimated", "measured", "required", "given",
    "actual", "main", "only", "shaded", "central", "resulting", "new", "maximum", "minimum", "current", "same", "per",
    "solve", "write", "identify", "highest", "lowest", "largest", "smallest", "greatest", "most", "least", "by", "see",
}  # fmt: skip
"""Words that tell no thing from another of its kind."""


def has_another_subject(text: str, question: str) -> bool:
    """Whether the words before the verb are the question's with one thing in the place of another."""
    found = _VERB.search(text)
    head = _words(text[: found.start()]) if found else []
    if found is None and _HAPPENS_TO.search(question):
        head = _words(text)[:-1]  # `The volume increases`
    # `Tom eats 5 apples` has no verb that is read here.
    first = head or (_words(text[: number.start()]) if (number := _DIGIT.search(text)) else [])
    asked = _words(question)
    size = len(head)
    windows = [asked[place : place + size] for place in range(len(asked) - size + 1)] if size > 1 else []
    known = set(_YEAR.findall(question))
    years = set(_YEAR.findall(text if _ASKS_AMOUNT.search(question) else " ".join(head)))
    if years and known and (years.isdisjoint(known) or (years < known and _SPAN.search(question))):
        return True
    if first and _is_of_condition(_folded(first), question) and not _LEFT.search(text):
        return True
    if not windows or _folded(head) in map(_folded, windows):
        return False
    return any(_swaps(head, window) or _turns(head, window) for window in windows)


def _is_of_condition(head: Sequence[str], question: str) -> bool:
    """`The volume` where the question asks what happens to the pressure if the volume is reduced."""
    first, behind = _IF_FIRST.match(question), _IF_BEHIND.search(question)
    found = first or behind
    if found is None:
        return False
    condition = set(_folded(_words(found["condition"])))
    wanted = set(_folded(_words(question.replace(found["condition"], " "))))
    named = set(head) - _PRONOUNS
    return bool(named) and named <= condition and named.isdisjoint(wanted)


def _swaps(head: Sequence[str], window: Sequence[str]) -> bool:
    """Whether one word differs after `of`, or before the last one, and both are names or both are none."""
    other = [
        place for place, (one, word) in enumerate(zip(head, window, strict=True)) if singular(one) != singular(word)
    ]
    if len(other) != 1:
        return False
    place = other[0]
    one, word = head[place], window[place]
    if not (one.isalpha() and word.isalpha() and one[0].isupper() == word[0].isupper()):
        return False
    if not _ANY_THING.isdisjoint({singular(one), singular(word)}):
        return False
    # `the due date` for the invoice date: all of the head, with one word that says which date.
    says_which = place == 0 and len(head) == 2 and min(map(len, (*head, word))) > 2
    says_which = says_which and _NO_KINDS.isdisjoint({one.casefold(), word.casefold()})
    return says_which or (place > 0 and head[place - 1].casefold() in _OF)


def _turns(head: Sequence[str], window: Sequence[str]) -> bool:
    """Whether both have the same words in another order, with one between them whose sides count."""
    return not _TURNS.isdisjoint(map(str.casefold, head)) and sorted(_folded(head)) == sorted(_folded(window))


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"[^\W_][\w'\u2019.-]*", text) if word.casefold() not in _ARTICLES]


def _folded(words: Sequence[str]) -> list[str]:
    return [singular(word) for word in words]
