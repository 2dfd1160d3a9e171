"""Finds the answer in sentences that turn the question round: `The gap was the largest in 2009`, `It is not greater`.

Each shape is read only where the question has the shape that it answers, with the same words in the same order. What
this leaves out: sentences that put the answer after the question's own words (`asked`), and whether it is right.
"""

import re
from collections.abc import Iterator, Sequence

from mstar.answers.statements import answers_of_statement
from mstar.answers.superlatives import answers_of_superlative

_SHORT_FORMS = ((re.compile(r"\b(they|we)['\u2019]re\b", re.IGNORECASE), r"\1 are"),
                (re.compile(r"\b(it|he|she|that|there)['\u2019]s\b", re.IGNORECASE), r"\1 is"),
                (re.compile(r"\b(is|are|was|were)n['\u2019]t\b", re.IGNORECASE), r"\1 not"))  # fmt: skip
_IN_YEAR = re.compile(r"(?P<what>\D+?)\s+in\s+(?P<year>[12]\d{3})")
_WHICH_YEAR = re.compile(r"\b(?:which|what)\s+year\b", re.IGNORECASE)
_LEFT_OUT = {"is", "was", "did", "does", "do", "the", "a", "an", "it", "in"}
_SAYS_MORE = {"not", "no", "never", "or", "but", "than", "except", "before", "after"}
_IN_FRONT = re.compile(r"(?:in|on|at)\s+(?P<name>[^,;]{2,40}),\s+(?P<rest>[^,;]{4,120})", re.IGNORECASE)
_WHEN_OR_WHERE = re.compile(
    r"\b(?:when|where|in\s+(?:which|what)|(?:which|what)\s+(?:year|month|day))\b", re.IGNORECASE
)
_MORE_THAN = re.compile(r"(?P<count>\S*\d\S*)\s+(?P<by>more|less|fewer)\b(?P<noun>[^\d]*?)\s+than\s+(?P<other>.+)")
_HOW_MUCH_MORE = re.compile(
    r"\bhow\s+(?:much|many)\s+(?P<by>more|less|fewer)\s+(?P<noun>.*?)\b(?:did|does|do|has|have|had)\s+(?P<who>.+?)"
    r"\s+(?P<does>\w+)\s+than\s+(?P<other>.+)",
    re.IGNORECASE,
)
_THAN_FIRST = re.compile(r"(\bhow\s+much\s+(?:more|less))(\s+than\s+.+?)(\s+(?:did|does|do)\s+.+)", re.IGNORECASE)
_DETERMINANT = re.compile(r"\bdeterminant\s+of\s+(?:the\s+)?(?:matrix\s+)?\$?(?P<name>[A-Z])\b\$?(?!\s*[\^'_*+-])")
_DET = re.compile(
    r"\$?\s*(?:\\?det\s*(?:\(\s*(?P<in>[A-Z])\s*\)|\s(?P<of>[A-Z]))|\|\s*(?P<bars>[A-Z])\s*\|)\s*=(?P<value>[^=]+)"
)
_RATIO_OF = re.compile(r"(?P<one>[^\W\d_]+)\s*(?::|to)\s*(?P<other>[^\W\d_]+)\s*(?:=|is)\s*(?P<ratio>\d.*)")
_ASKED_RATIO = re.compile(
    r"\bratio\s+of\s+(?:the\s+)?(?:number\s+of\s+)?(?P<one>[^\W\d_]+)\s+to\s+(?:the\s+)?(?:number\s+of\s+)?"
    r"(?P<other>[^\W\d_]+)$",
    re.IGNORECASE,
)
_YES_NO_QUESTION = re.compile(r"(?:is|are|was|were)\s+(?P<rest>.+)", re.IGNORECASE)
_TWO_CLAUSES = {
    "is", "are", "was", "were", "that", "which", "who", "whose", "and", "or", "if", "when", "not", "isn't", "aren't",
    "has", "have", "no", "never", "neither",
}  # fmt: skip
_IT_IS = re.compile(r"(?:it|they|this|he|she)\s+(?:is|are|was|were)\s+(?P<no>not\s+)?(?P<what>[a-z ]+)", re.IGNORECASE)
_PLACE = re.compile(r"(?P<name>[A-Z][\w.' -]{1,40}),\s+(?P<where>[A-Z][\w.' -]{1,40})")


def long_forms(text: str) -> str:
    """`They are` for `They're`, and `are not` for `aren't`."""
    for short, long in _SHORT_FORMS:
        text = short.sub(long, text)
    return text


def answers_restated(text: str, question: str, told: Sequence[str], asked: Sequence[str]) -> Iterator[str]:
    """What a sentence gives that turns the question round. `told`, `asked`: the words of both, folded."""
    asks = question.strip().rstrip("?. ")
    yield from _in_year(text, asks, asked)
    yield from _set_in_front(text, asks, asked)
    yield from _more_than(text, asks)
    yield from _of_names(text, asks)
    yield from _yes_or_no(text, asks)
    if text.casefold().endswith(" each other"):
        yield re.sub(r"(?:\s+(?:to|with))?\s+each\s+other$", "", text, flags=re.IGNORECASE)
    yield from answers_of_statement(text, asks)
    # `increase` of `The pressure increases`, where the question asks what happens to the pressure.
    if (
        "happen" in asks.casefold()
        and 2 <= len(told) <= 6
        and told[-1].endswith("s")
        and set(told[:-1]) <= {*asked, "it", "the"}
    ):
        yield told[-1].removesuffix("s")
    yield from answers_of_superlative(text, asks)
    # `The war began first`, where the question asks which came first.
    if len(told) > 2 and told[-1] in ("first", "last") and {"first", "last"} & set(asked) == {told[-1]}:
        yield " ".join(text.split()[:-1])
    # `Augusta, Maine`, where the question asks for a city of Maine.
    if (place := _PLACE.fullmatch(text)) and re.search(rf"\b(?:of|in)\s+{re.escape(place['where'])}\W*$", asks):
        yield place["name"]


def _in_year(text: str, asks: str, asked: Sequence[str]) -> Iterator[str]:
    found = _IN_YEAR.fullmatch(text)
    if found is None or not _WHICH_YEAR.search(asks):
        return
    words = found["what"].casefold().split()
    left = iter(asked)
    # In the question's order, so that `B exceeds A` is none where it asks when A exceeds B.
    if not _SAYS_MORE & set(words) and all(
        any(word.removesuffix("ed") == one.removesuffix("ed") for one in left)
        for word in words
        if word not in _LEFT_OUT
    ):
        yield found["year"]


def _set_in_front(text: str, asks: str, asked: Sequence[str]) -> Iterator[str]:
    """`July` of `In July, rainfall was lowest`, where the question asks in which month rainfall was lowest."""
    found = _IN_FRONT.fullmatch(text)
    if found is None or not _WHEN_OR_WHERE.search(asks) or _SAYS_MORE & set(found["rest"].casefold().split()):
        return
    if all(word in asked or word in _LEFT_OUT for word in re.findall(r"[\w'-]+", found["rest"].casefold())):
        yield found["name"]


def _more_than(text: str, asks: str) -> Iterator[str]:
    """`$5` of `John spent $5 more than Mary`, where the question asks how much more John spent than Mary."""
    question, found = _HOW_MUCH_MORE.search(_THAN_FIRST.sub(r"\1\3\2", asks)), _MORE_THAN.search(text)
    if question is None or found is None or found["by"].casefold() != question["by"].casefold():
        return
    who, _, verb = text[: found.start()].strip().rpartition(" ")
    same = (who.casefold(), found["other"].casefold()) == (question["who"].casefold(), question["other"].casefold())
    noun = found["noun"].strip().casefold()
    if same and verb.isalpha() and noun in ("", question["noun"].strip().casefold()):
        yield found["count"]


def _of_names(text: str, asks: str) -> Iterator[str]:
    r"""`-14` of `\det A = -14`, and `3:4` of `boys : girls = 3:4`, where the question asks for just that."""
    asked, found = _DETERMINANT.search(asks), _DET.fullmatch(text)
    if asked and found and asked["name"] == (found["in"] or found["of"] or found["bars"]):
        yield found["value"].strip(" $")
    ratio, names = _RATIO_OF.fullmatch(text), _ASKED_RATIO.search(asks)
    if ratio and names and all(ratio[one].casefold() == names[one].casefold() for one in ("one", "other")):
        yield ratio["ratio"]


def _yes_or_no(text: str, asks: str) -> Iterator[str]:
    """`no` of `It is not greater`, where the question is whether something is greater than another."""
    question, found = _YES_NO_QUESTION.fullmatch(asks), _IT_IS.fullmatch(text)
    if question is None or found is None:
        return
    words, what = question["rest"].casefold().split(), found["what"].casefold().split()
    # A second clause may have the word as well: `Is the bar that is greater than 5 red?`
    if _TWO_CLAUSES & set(words) or "not" in what:
        return
    compared = words[: words.index("than")] if words.count("than") == 1 else []
    asked = what in (words[-len(what) :], compared[-len(what) :]) and len(what) < len(words)
    if asked and what[0] not in ("than", "of"):
        yield "no" if found["no"] else "yes"
