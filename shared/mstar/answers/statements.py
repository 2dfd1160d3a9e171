"""Finds yes or no in a statement of the question's words: `X is not the minimum`, where it asks whether X is that.

All words of the question must be there, in their order. What this leaves out: statements in other words.
"""

import re
from collections.abc import Iterator, Sequence

_QUESTION = re.compile(r"(?P<verb>is|are|was|were|does|do|did|can|will)\s+(?P<rest>[^,;?]+)", re.IGNORECASE)
_LEFT_OUT = {"the", "a", "an", "any"}
_DENIES = {"not", "no"}
_PRONOUNS = {"it", "they", "he", "she"}
_TWO_SIDED = {"not", "no", "never", "or", "and", "if", "but", "neither", "nor"}
_SHORT = re.compile(r"(?<=[a-z])n['\u2019]t\b|(?<=can)not\b", re.IGNORECASE)
_EITHER = re.compile(r"\b\w+\s+or\s+\w+\s+(?P<tail>[^,;?]+)")
_WORD = re.compile(r"[\w'-]+")
_ONE_OR_OTHER = re.compile(
    r"(?:\b(?P<one>(?:[a-z]+\s+)?[A-Z\d]|[\w-]+)\s+or\s+(?:the\s+)?(?P<other>(?:[a-z]+\s+)?[A-Z\d]|[\w-]+))$"
)
_ENDINGS = ("s", "es", "d", "ed")
_OTHER_FORMS = {"have": {"has", "had"}, "go": {"goes", "went"}, "rise": {"rose"}, "fall": {"fell"}, "grow": {"grew"}}


def answers_of_statement(text: str, asks: str) -> Iterator[str]:
    """Yes or no; `repel` of `They repel each other`, where the question is whether they attract or repel each other."""
    either = _EITHER.search(asks)
    if either and text.casefold().endswith(f" {either['tail'].casefold()}"):
        yield text[: -len(either["tail"]) - 1]
    yield from _one_of_two(text, asks)
    question = _QUESTION.fullmatch(asks)
    if question is None:
        return
    rest = [word for word in question["rest"].casefold().split() if word not in _LEFT_OUT]
    if "than" in rest and "than" not in text.split():
        rest = rest[: rest.index("than")]  # `The number of men is greater`
    told = [word for word in _SHORT.sub(" not", text.casefold()).split() if word not in _LEFT_OUT]
    denials = [word for word in told if word in _DENIES]
    if len(rest) < 2 or len(denials) > 1 or not _TWO_SIDED.isdisjoint(rest):
        return
    told = [word for word in told if word not in _DENIES]
    verb = question["verb"].casefold()
    # `No people`, where the question is whether there are any.
    if rest[0] == "there" and text.casefold().startswith("no ") and told and rest[1 : 1 + len(told)] == told:
        yield "no"
    if verb in told:
        told.remove(verb)
    elif verb not in ("does", "do", "did"):
        return
    # `It does not exceed the limit`, of what the question says in front.
    behind = rest[len(rest) - len(told) + 1 :] if told[:1] and told[0] in _PRONOUNS else rest
    if _says(told[len(told) - len(behind) :], behind) and len(behind) > 1:
        yield "no" if denials else "yes"


def _one_of_two(text: str, asks: str) -> Iterator[str]:
    """`dogs` of `More people prefer dogs than cats`, where the question is whether more people prefer cats or dogs."""
    question = _ONE_OR_OTHER.search(asks)
    words, than, other = text.casefold().partition(" than ")
    told = _WORD.findall(words)
    if question is None or not _TWO_SIDED.isdisjoint(told):
        return
    names = [question[name].casefold() for name in ("one", "other")]
    named = [name for name in names if re.search(rf"\b{re.escape(name)}\b", words)]
    known = {*_WORD.findall(asks.casefold()), *_LEFT_OUT, "are", "is", "by", "more"}
    around = [word for word in told if word not in named[0].split()] if named else []
    asked = all(any(word == one or (len(one) > 4 and word.startswith(one)) for one in known) for word in around)
    if len(named) == 1 and len(around) > 1 and asked and (not than or other.strip() in names):
        yield named[0]


def _says(told: Sequence[str], rest: Sequence[str]) -> bool:
    """Whether both have the same words, of which one may be a verb in another form."""
    if len(told) != len(rest):
        return False
    other = [(one, word) for one, word in zip(told, rest, strict=True) if one != word]
    return not other or (len(other) == 1 and _is_form(*other[0]))


def _is_form(said: str, verb: str) -> bool:
    return any(said == f"{verb}{ending}" for ending in _ENDINGS) or said in _OTHER_FORMS.get(verb, ())
