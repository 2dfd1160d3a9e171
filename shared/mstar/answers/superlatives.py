"""Superlatives: which ones say the same end of a scale, and what has it.

`The smallest bar is 12` is another answer where the question asks for the largest; `France has the tallest bar` says
France where it asks which country has the highest value. What this leaves out: whether the answer is right.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

_ENDS = (
    ({"largest", "biggest", "greatest", "highest", "maximum", "most", "tallest", "longest", "top", "limit"},
     {"smallest", "lowest", "minimum", "least", "fewest", "shortest", "bottom"}),
    ({"left"}, {"right"}),
    ({"upper"}, {"lower"}),
    ({"man", "men", "husband", "father"}, {"woman", "women", "wife", "mother"}),
    ({"boy", "boys", "male", "males"}, {"girl", "girls", "female", "females"}),
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
OPPOSED = [pair for one, other in _ENDS for pair in ((one, other), (other, one))]
_HAS_THE = re.compile(
    r"(?P<name>[^,;:]{2,60}?)(?:,?\s+(?:has|have|had|with|having|shows|is|are|was|were|at)|,)\s+the\s+(?P<end>[a-z]+)"
    r"\s*(?P<noun>[a-z][a-z ]{0,40})?",
    re.IGNORECASE,
)
_DRAWN = {
    "bar", "bars", "line", "slice", "column", "sector", "segment", "wedge", "section", "portion", "point", "dot",
    "peak", "value", "number", "amount", "count", "percentage", "share", "total", "one", "of", "all", "in", "on", "the",
    "chart", "graph", "figure", "table", "pie", "level", "proportion",
}  # fmt: skip
"""What is largest in a picture where the answer has the most of what is asked for."""
_TWO_THINGS = re.compile(r"\b(?:not|no|or|and|but|nor|except|than|without|second|third|if)\b", re.IGNORECASE)


def answers_of_superlative(text: str, question: str) -> Iterator[str]:
    """`July` of `July, with the lowest rain`, where the question asks for the month with the least rainfall."""
    found = _HAS_THE.fullmatch(text)
    if found is None or _TWO_THINGS.search(text) or _TWO_THINGS.search(question):
        return
    asked = re.findall(r"[a-z]+", question.casefold())
    ends = [side for side, _ in OPPOSED for word in asked if word in side]
    nouns = (found["noun"] or "").casefold().split()
    # One superlative in the question, or the other may be what the sentence has.
    if len(ends) == 1 and found["end"].casefold() in ends[0] and all(_is_asked(noun, asked) for noun in nouns):
        yield found["name"]


def _is_asked(noun: str, asked: list[str]) -> bool:
    """`rain` of a question for rainfall as well."""
    return noun in _DRAWN or any(word.startswith(noun[:4]) for word in asked if len(noun) > 3) or noun in asked


def is_opposite(text: str, told: set[str], asked: set[str], question: str) -> bool:
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
        for one, other in OPPOSED
    )


def _in_pairs(text: str) -> set[tuple[str, str]]:
    words = re.findall(r"[a-z]+", text.casefold())
    return set(pairwise(words))
