"""Finds the one value in a sentence that is made of the question's words: `The block has a mass of 2.5 kg`.

Words may stand in another order than in the question only where it compares nothing: in `3 more boys than girls` the
order counts. What this leaves out: names, whose place in a sentence counts always, and whether the value is right.
"""

import re
from collections.abc import Iterator, Sequence

from mstar.answers.around import PAST
from mstar.answers.heads import is_of_one_stem, says_same
from mstar.answers.numbers import in_digits
from mstar.answers.units import is_known
from mstar.answers.wanted import names_counted, singular

_VALUE = re.compile(
    r"\(\s*-?[\d./]+(?:\s*,\s*-?[\d./]+)+\s*\)"
    r"|(?:[$€£¥₹]\s?)?-?(?:\d{1,2}(?::\d\d)?\s?[ap]\.?m\b\.?|\d{1,2}:\d\d|\d[\d.,]*(?<![.,])(?:/\d+)?)"
    r"(?:\s?(?:%|°\s?[CF]?\b|[€£¥₹$]|percent\b|(?:million|billion|thousand)\b))?"
)
"""A point, a time, or a number with a sign or a scale."""
_WORD = re.compile(r"(?:[^\W\d_]|[\u0900-\u0963\u0971-\u0dff])+(?:['\u2019][^\W\d_]+)?")
_UNIT = re.compile(r"\s*((?:square\s+|cubic\s+|sq\.?\s+)?[A-Za-zµ°][\w/^²³·]{0,20})")
_DENIES = re.compile(
    r"\b(?:not|no|never|nor|neither|none|or|but|except|without|half|twice|double|more|less|fewer|least|most|over|under"
    r"|above|below|before|after|until|almost|nearly|only|another|other)\b|n['\u2019]t\b|[;?=<>≠≈+*()\[\]\\]|:\s|\s-\s",
    re.IGNORECASE,
)
_COMPARES = re.compile(
    r"\b(?:than|from|between|minus|versus|ratio|if|(?<!^)when|per|compared|exceeds?|into|each|instead|and)\b",
    re.IGNORECASE,
)
"""What makes the order of a question's words count."""
_ASKING = re.compile(
    r"what|which|how|who|when|where|many|much|long|far|old|high|do|does|did|find|percent|percentage|fraction|share|de|time|year|month|day|date|point|coordinate|cu[áa]nt[ao]|cu[áa]l|combien|quelle?"
    r"|qu[ée]|año|année|anno|jahr|welchem|wie|viel|viele|hoch|ist|der|die|das|est|le|la|el|les|कितने|कितनी|क्या"
)
"""What stands in front of the thing that is asked for."""
_UNSPACED = re.compile(
    r"(?P<head>[\u3040-\u30ff\u4e00-\u9fffA-Z]{2,40}?)(?:是|为|有|はいくつですか|は)(?P<value>[^是为は]{1,40}?)(?:です|だ)?"
)
_ANY_SIGN = "图中的这个那该总共所示有"
_PART = re.compile(r"\b(?:half|twice|double|third|quarter)\b", re.IGNORECASE)
_LIMITS = re.compile(r"\b(?:than|least|most|over|under|above|below|after|before|since|until)\s*$", re.IGNORECASE)
_COUNTS = re.compile(r"\b(?:how\s+many|number\s+of)\b", re.IGNORECASE)
_ENGLISH = re.compile(r"\b(?:the|what|which|how|find|is)\b", re.IGNORECASE)
_MEASURES = {"distance", "height", "length", "width", "depth", "weight", "mass", "price", "cost", "age", "speed"}
_PRONOUNS = {"it", "they", "he", "she"}
_SMALL_WORDS = (
    "a an the of in on at to for by with its it this that these those there is are was were be been has have had"
    " about approximately around exactly must will would can total amount value number shown which they he she we"
    " account accounts make makes up beträgt lautet hay il y se en"
)
_SMALL = frozenset(_SMALL_WORDS.split())


def answers_stated(text: str, question: str) -> Iterator[str]:
    """`2.5 kg`, where all other words of the sentence are the question's; nothing for any other sentence."""
    text = in_digits(text)
    said_before = question.casefold()
    values = [found for found in _VALUE.finditer(text) if not _has_number(question, found[0])]
    if len(values) != 1 or _LIMITS.search(text[: values[0].start()]):
        return
    begin, end = values[0].span()
    others = f"{text[:begin]} {text[end:]}"
    if (
        not _WORD.search(others)
        or _PART.search(others)
        or any(found[0].casefold() not in said_before for found in _DENIES.finditer(others))
    ):
        return
    unit = _UNIT.match(text, end)
    name = unit[1] if unit else ""
    # pint takes `Autos` for a unit.
    if unit and name.casefold() not in said_before and (len(name) == 1 or not name.istitle()) and is_known(name):
        end = unit.end()
    behind = [word for word in _words(text[end:]) if word not in _SMALL]
    told, asked = [*_words(text[:begin]), *_words(text[end:])], _words(question)
    if (
        told
        and all(_is_asked(word, asked) for word in told)
        and (not behind or _is_counted(text[begin:end], text[end:], behind, question))
        and _in_order(told, asked, question)
        and _names_first_thing(told, asked)
    ):
        yield text[begin:end].strip()


def answers_unspaced(text: str, question: str) -> Iterator[str]:
    """`狐狸` of `图中的捕食者是狐狸`, whose subject is written in the question's own signs."""
    found = _UNSPACED.fullmatch(text)
    if found and all(sign in question or sign in _ANY_SIGN for sign in found["head"]):
        yield found["value"]


def _words(text: str) -> list[str]:
    words = map(str.casefold, _WORD.findall(text))
    return [word if word in _SMALL else singular(word) for word in words]


def _is_counted(value: str, rest: str, behind: Sequence[str], question: str) -> bool:
    """Whether what stands behind a number may: what is counted, `40% chance`, or words of a clause of its own."""
    if _COUNTS.search(question) or not _ENGLISH.search(question):
        return names_counted(behind, question)
    return value.endswith("%") or _words(rest)[0] in _SMALL


def _has_number(question: str, number: str) -> bool:
    return re.search(rf"(?<![\d.,]){re.escape(number.strip())}(?!\d|[.,]\d)", question) is not None


def _is_asked(word: str, asked: Sequence[str]) -> bool:
    return word in _SMALL or word in asked or _is_one_of(word, asked)


def _is_one_of(word: str, asked: Sequence[str]) -> bool:
    """Whether a word is one of the question's in another form, or says the same."""
    return len(word) > 2 and (
        any(is_of_one_stem(word, other) or PAST.get(other) == word for other in asked)
        or (word in _MEASURES and says_same(word, asked))
    )


def _in_order(told: Sequence[str], asked: Sequence[str], question: str) -> bool:
    """Whether the question compares nothing, or the sentence has its words in the question's order."""
    if not _COMPARES.search(question):
        return True
    left = iter(asked)
    return all(any(_is_one_of(word, [other]) for other in left) for word in told if word not in _SMALL)


def _names_first_thing(told: Sequence[str], asked: Sequence[str]) -> bool:
    """Whether the first thing that the question names is in the sentence, which may else be about another, or `it`."""
    if told[0] in _PRONOUNS or (told[0] == "at" and all(word in _SMALL or _ASKING.fullmatch(word) for word in told)):
        return True
    first = next((word for word in asked if not _ASKING.fullmatch(word) and word not in _SMALL), None)
    return first is not None and any(_is_one_of(word, [first]) for word in told)
