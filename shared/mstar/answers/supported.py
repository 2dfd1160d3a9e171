"""Finds the answer in sentences that say a figure, a role or a country more than was asked for.

`Revenue peaked in 2016, at 45 million` where the question asks for the year, `by Leo Tolstoy` where it asks for the
author, `Reims, France` where it asks for a town. What this leaves out: whether what is said more is right.
"""

import re
from collections.abc import Iterator

from mstar.answers.angles import answers_of_ratio
from mstar.answers.wanted import asks_amount, singular

_FIGURE = (
    r"(?:about\s+|approximately\s+|around\s+|~|≈\s*)?[$€£¥₹]?-?\d[\d.,]*\s*(?:[%°]|[^\W\d_]{1,12})?"
    r"(?:\s+[^\W\d_]{2,15}){0,2}"
)
_SUPPORT = re.compile(rf"(?P<what>.{{2,120}}?)(?:,\s+(?:at|with)\s+{_FIGURE}|\s*\({_FIGURE}\))[.]?")
_ASKS_NAME = re.compile(
    r"\b(?:which|who|whose|where|when|what\s+(?:year|month|day|country|city|state|colou?r|company))\b"
)
_NOT_ALONE = re.compile(r"\b(?:or|and|not|but|than|followed|except)\b", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"(?P<name>[^()]{2,60}?)\s*\((?P<about>(?:the|in|for|on|of)\s[^()]{3,60})\)")
_REASON = re.compile(r"(?P<answer>[^()]{1,60}?)\s*\((?:it|they|since|because|which|as)\s[^()]{3,80}\)", re.IGNORECASE)
_ROLES = {
    "author": "wrote written", "writer": "wrote written", "director": "directed directed", "painter": "painted painted",
    "artist": "painted painted", "composer": "composed composed", "editor": "edited edited",
    "publisher": "published published", "inventor": "invented invented", "designer": "designed designed",
    "translator": "translated translated", "winner": "won won", "founder": "founded founded",
    "manufacturer": "makes made", "photographer": "took taken", "sender": "sent sent", "architect": "designed designed",
}  # fmt: skip
"""What each does, and what is done by them."""
_WHO = re.compile(
    rf"\b(?:who\b.*?|name\s+of\b.*?|what\s+is\s+the\s+)\b(?P<role>{'|'.join(_ROLES)})\b(?=.*\?|['\u2019]s\s+name|$)",
    re.IGNORECASE,
)
_BY = re.compile(r"by\s+(?P<name>[^;]{2,60})")
_WHO_DID = re.compile(r"\b(?:who|whom)\b|\bby\s+(?:which|what)\b", re.IGNORECASE)
_DUE = re.compile(r"\b(?:due|deadline|expire|expires|submitted|returned|paid)\b", re.IGNORECASE)
_DID = re.compile(r"(?P<name>[A-Z][^,;:()]{1,50}?)\s+(?P<verb>[a-z]+)\s+(?P<thing>[^,;:]{2,60})")
_DONE = re.compile(
    r"(?:(?P<thing>[^,;:]{2,60}?)\s+)?(?:(?:is|was|were)\s+)?(?P<verb>[a-z]+)\s+by\s+(?P<name>[A-Z][^,;:()]{1,50})",
)
_TITLED = re.compile(
    r"(?P<name>[A-Z][\w'\u2019-]*\.?(?:\s+[A-Z][\w'\u2019-]*\.?){1,3}),\s+(?:[A-Z][\w&.-]*\s+){0,3}"
    r"(?:Director|Manager|President|CEO|CFO|CTO|Chairman|Chairwoman|Chair|Secretary|Treasurer|Officer|Professor|Editor"
    r"|Engineer|Head|Chief|Partner|Ph\.?D\.?|M\.?D\.?)\b(?:\s+(?:of|for|at)\s+[\w\s&.-]{2,40}|\s+[A-Z]\w+){0,2}"
)
_TOOK_PLACE = re.compile(
    r"(?:it|they|this)\s+(?:took\s+place|happened|occurred|was\s+held|were\s+held)\s+(?:in|on|at)\s+(?P<when>.{2,60})",
    re.IGNORECASE,
)
_ASKS_PLACE = re.compile(r"^(?:in\s+|on\s+|at\s+)?(?:where|when|which|what)\b", re.IGNORECASE)
_IN_COUNTRY = re.compile(
    r"(?P<name>[A-Z][\w.'\u2019 -]{1,40}?)"
    r"(?:,\s+(?P<country>[A-Z][A-Za-z. ]+)|\s+\((?P<held>[A-Z][A-Za-z. ]+)\))"
)
_TOWN = re.compile(r"\b(?:town|city|cities|village|capital|port|where)\b", re.IGNORECASE)
_COUNTRY = re.compile(r"\b(?:country|countries|nation|state)\b", re.IGNORECASE)
_NAMES = (
    "Argentina,Australia,Austria,Belgium,Brazil,Bulgaria,Chile,China,Colombia,Croatia,Cuba,Czech Republic,Denmark,Egypt"
    ",Estonia,Finland,France,Germany,Greece,Hungary,Iceland,India,Indonesia,Iran,Iraq,Ireland,Israel,Italy,Japan,Kenya"
    ",Latvia,Lithuania,Luxembourg,Malaysia,Mexico,Morocco,Nepal,Netherlands,New Zealand,Nigeria,Norway,Pakistan,Peru"
    ",Philippines,Poland,Portugal,Romania,Russia,Saudi Arabia,Serbia,Singapore,Slovakia,Slovenia,South Africa"
    ",South Korea,Spain,Sweden,Switzerland,Thailand,Tunisia,Turkey,Ukraine,Uruguay,Venezuela,Vietnam"
)
_COUNTRIES = frozenset(_NAMES.split(","))
"""In which a town of that name is meant; of Canada and the United States there is often another one."""
_OF_CHANGE = re.compile(r"\b(?:rate\s+of\s+change|change)\b", re.IGNORECASE)
_CHANGE = re.compile(
    r"(?:it\s+is\s+)?an?\s+(?:(?P<down>decrease|decline|drop|loss|fall)|increase|rise|gain)\s+of\s+(?P<value>[$€£]?\d.*)",
    re.IGNORECASE,
)


def without_support(text: str, question: str) -> str:
    """`Revenue peaked in 2016` of `Revenue peaked in 2016, at 45 million`, where a name or a time is asked for."""
    found = _SUPPORT.fullmatch(text)
    if found is None or not _ASKS_NAME.search(question.casefold()) or asks_amount(question.split(",")[-1][:12]):
        return text
    # In capitals it may be a number itself: `MCMXCIV (1996)`.
    what = found["what"]
    return text if what.isupper() or _NOT_ALONE.search(what) else what


def answers_supported(text: str, question: str) -> Iterator[str]:
    """What stands beside words that say more about it."""
    words = {singular(word) for word in re.findall(r"[\w'\u2019]+", question)} | {"the", "in", "for", "on", "of", "a"}
    found = _IN_BRACKETS.fullmatch(text)
    if found and {singular(word) for word in re.findall(r"[\w'\u2019]+", found["about"])} <= words:
        yield found["name"]
    if found := _REASON.fullmatch(text):
        yield found["answer"]
    if (found := _TITLED.fullmatch(text)) and _WHO_DID.search(question):
        yield found["name"]
    if (found := _TOOK_PLACE.fullmatch(text)) and _ASKS_PLACE.search(question):
        yield found["when"]
    found = _IN_COUNTRY.fullmatch(text)
    if found and (found["country"] or found["held"]).strip(".") in _COUNTRIES and _TOWN.search(question):
        yield from [] if _COUNTRY.search(question) else [found["name"]]
    if (found := _CHANGE.fullmatch(text)) and _OF_CHANGE.search(question):
        yield f"-{found['value']}" if found["down"] else found["value"]
    yield from _by_somebody(text, question)
    yield from answers_of_ratio(text, question)


def _by_somebody(text: str, question: str) -> Iterator[str]:
    """`Leo Tolstoy` of `by Leo Tolstoy` and of `Leo Tolstoy wrote the book`, where the book's author is asked for."""
    role = _WHO.search(question)
    if (found := _BY.fullmatch(text)) and (role or _WHO_DID.search(question) or _DUE.search(question)):
        yield found["name"]
    if role is None:
        return
    does, done = _ROLES[role["role"].casefold()].split()
    known = {singular(word) for word in re.findall(r"[\w'\u2019]+", question)} | {"it", "this", "the", "that"}
    for shape, verb in ((_DID, does), (_DONE, done)):
        if (found := shape.fullmatch(text)) and found["verb"] == verb:
            thing = re.findall(r"[\w'\u2019]+", found["thing"] or "")
            if all(singular(word) in known or word in ("is", "was", "were") for word in thing):
                yield found["name"]
