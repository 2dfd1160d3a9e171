"""Tells when the subject of a sentence is another one than the question's, word by word beside it.

`The share of gas` where the question asks for the share of coal, `the ratio of girls to boys` for boys to girls.
Only a subject that follows the question's own words is compared; what this leaves out: synonyms, which are no other
thing.
"""

import re
from collections.abc import Sequence

from mstar.answers.wanted import ANYTHING, singular

_VERB = re.compile(
    r"=|≈|:\s|\b(?:is|are|was|were|equals|measures|has|have|had|will|would|can|could|does|did|shows|reads)\b"
)
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


def has_another_subject(text: str, question: str) -> bool:
    """Whether the words before the verb are the question's with one thing in the place of another."""
    found = _VERB.search(text)
    head = _words(text[: found.start()]) if found else []
    asked = _words(question)
    size = len(head)
    windows = [asked[place : place + size] for place in range(len(asked) - size + 1)] if size > 1 else []
    if not windows or _folded(head) in map(_folded, windows):
        return False
    return any(_swaps(head, window) or _turns(head, window) for window in windows)


def _swaps(head: Sequence[str], window: Sequence[str]) -> bool:
    """Whether one word behind `of` differs, and both are names or both are nouns."""
    other = [
        place for place, (one, word) in enumerate(zip(head, window, strict=True)) if singular(one) != singular(word)
    ]
    if len(other) != 1 or not other[0] or head[other[0] - 1].casefold() not in _OF:
        return False
    one, word = head[other[0]], window[other[0]]
    return (
        one.isalpha()
        and word.isalpha()
        and one[0].isupper() == word[0].isupper()
        and _ANY_THING.isdisjoint({singular(one), singular(word)})
    )


def _turns(head: Sequence[str], window: Sequence[str]) -> bool:
    """Whether both have the same words in another order, with one between them whose sides count."""
    return not _TURNS.isdisjoint(map(str.casefold, head)) and sorted(_folded(head)) == sorted(_folded(window))


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"[^\W_][\w'\u2019.-]*", text) if word.casefold() not in _ARTICLES]


def _folded(words: Sequence[str]) -> list[str]:
    return [singular(word) for word in words]
