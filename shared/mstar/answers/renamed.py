"""Finds the answer next to a word that the question uses for it: `Planet Earth` where it asks which planet.

Also `a Nikon camera` where it asks what brand the camera is, and `8-year gap` where it asks for the gap. What this
leaves out: sentences (`asked`), and whether the answer is right.
"""

import re
from collections.abc import Iterator, Sequence

from mstar.answers.units import is_known

_KIND = re.compile(
    r"\b(?:which|what)\s+(?:(?:kind|type|sort|name)\s+of\s+(?:the\s+)?)?(?P<kind>[a-z]{3,20})\b"
    r"|\b(?:the\s+)?name\s+of\s+(?:the|this|that)\s+(?P<named>[a-z]{3,20})\b",
    re.IGNORECASE,
)
_NO_KINDS = {
    "are", "was", "were", "did", "does", "can", "could", "will", "would", "should", "has", "have", "had", "the", "this",
    "that", "these", "those", "two", "three", "one", "ones", "percent", "percentage", "fraction", "kind", "type", 
    "sort", "name", "may", "might", "must", "half", "not",
}  # fmt: skip
"""Words after `which` and `what` that are not nouns, or of which the answer would be another quantity."""
_OF_WHOM = re.compile(
    r"\b(?:what|which)\s+(?:[\w-]+\s+){1,2}(?:is|are|was|were)\s+(?:the|this|that|these|those)\s+(?P<noun>[\w\s-]{3,30}?)"
    r"(?:\s*\?*$|\s+(?:that|which|representing|for|of|in|on|with|used)\b)"
    r"|\bwhat(?:\s+is|['\u2019]s)\s+the\s+colou?r\s+of\s+(?:the|this|that)\s+(?P<coloured>\w{3,20})\b",
    re.IGNORECASE,
)
_MEASURED = re.compile(
    r"(?:an?\s+)?(?P<count>[\d.,]+|[a-z]+)-(?P<unit>[a-z]{1,12})(?:\s+(?P<rest>[\w\s-]+))?", re.IGNORECASE
)
_JOINS = {"and", "or", "but", "not", "no", "nor", "than", "except", "of"}


def named_again(text: str, words: Sequence[str], told: Sequence[str], question: str) -> Iterator[str]:
    """What stands beside the question's own word for it. `told`: the words folded."""
    if not _JOINS.isdisjoint(told):
        return
    for found in (*_beside_kind(words, told, question), *_beside_noun(words, told, question)):
        # `B` of `sample B` would be read as the letter of an option.
        if len(found) > 1 or found.isdigit():
            yield found
    yield from _hyphened(text, question)


def without_kind(gold: str, question: str) -> Iterator[str]:
    """`2` of a reference Graph 2, where the question asks which graph."""
    words = gold.split()
    yield from _beside_kind(words, [word.casefold() for word in words], question)


def _beside_kind(words: Sequence[str], told: Sequence[str], question: str) -> Iterator[str]:
    """`Earth` of `Planet Earth` and of `Planet: Earth`, `Rio Grande` of `Rio Grande River`."""
    kinds = {(found["kind"] or found["named"]).casefold() for found in _KIND.finditer(question)} - _NO_KINDS
    begin = 1 if told[0] in ("the", "a", "an") else 0
    if len(told) - begin < 2:
        return
    # `the planet Venus`, where the question is about planets.
    named = begin and words[begin + 1][:1].isupper() and re.search(rf"\b{re.escape(told[begin])}s?\b", question)
    if told[begin] in kinds or named:
        yield " ".join(words[begin + 1 :])
    if told[-1] in kinds:
        yield " ".join(words[begin:-1])


def _beside_noun(words: Sequence[str], told: Sequence[str], question: str) -> Iterator[str]:
    """`Nikon` of `a Nikon camera`, where the question asks what brand the camera is."""
    asked = _OF_WHOM.search(question)
    noun = (asked["noun"] or asked["coloured"]).casefold().split() if asked else []
    begin = 1 if told[0] in ("the", "a", "an") else 0
    # `blue in color`, where the question asks for a color.
    if len(told) == 3 and told[1] == "in" and told[2] in ("color", "colour") and re.search(r"\bcolou?r\b", question):
        yield words[0]
    if noun and len(told) - begin > len(noun) and list(told[-len(noun) :]) == noun:
        yield " ".join(words[begin : -len(noun)])


def _hyphened(text: str, question: str) -> Iterator[str]:
    """`8 year` of `an 8-year gap`, where all after the unit is the question's."""
    found = _MEASURED.fullmatch(text)
    if found is None or not is_known(found["unit"]):
        return
    asked = set(re.findall(r"[\w-]+", question.casefold()))
    if all(word in asked or word in ("gap", "difference", "old") for word in (found["rest"] or "").casefold().split()):
        yield f"{found['count']} {found['unit']}"
