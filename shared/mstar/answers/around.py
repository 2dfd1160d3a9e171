"""Finds the answer inside what a sentence sets around it: a question's blank, quotation marks, a label, a share.

`NO PARKING` of `The sign says "NO PARKING"`, `China, India` of `From highest to lowest: China, India`. What this leaves
out: sentences without such marks (`asked`), and whether the answer is right.
"""

import re
from collections.abc import Iterator, Sequence

SMALL = {
    "a", "an", "the", "of", "in", "on", "at", "to", "from", "for", "by", "it", "its", "they", "there", "he", "she",
    "we", "his", "her", "their", "this", "that",
}  # fmt: skip
VERBS = {
    "is", "was", "has", "had", "equals", "will", "would", "can", "could", "shows", "reads", "displays", "indicates",
    "es", "ist", "est", "measures", "falls", "lies", "occurs", "represents", "contains", "gives", "belongs",
}  # fmt: skip
PAST = {
    "spend": "spent", "sell": "sold", "buy": "bought", "get": "got", "take": "took", "leave": "left", "eat": "ate",
    "make": "made", "run": "ran", "give": "gave", "go": "went", "see": "saw", "pay": "paid", "have": "had",
    "find": "found", "read": "read", "win": "won", "begin": "began", "draw": "drew", "lose": "lost",
    "choose": "chose", "write": "wrote", "drive": "drove", "keep": "kept", "hold": "held", "send": "sent",
    "build": "built", "bring": "brought", "catch": "caught", "wear": "wore", "ride": "rode", "fly": "flew",
    "lead": "led", "meet": "met", "become": "became", "come": "came", "say": "said", "think": "thought",
    "rise": "rose", "fall": "fell", "grow": "grew", "drop": "dropped",
}  # fmt: skip
SAY = {"say", "says", "read", "reads", "written", "text"}
TEXT = {"text", "word", "writing", "inscription", "message"}
_NAME = {"label", "labeled", "labelled", "name", "title"}
_BLANK = re.compile(r"\(\s*_+\s*\)|_{2,}")
_SENTENCE = re.compile(r"(?<=[.?!:])\s+|\n")
_OF_YEAR = re.compile(r"(?P<name>\D+?)\s*\((?P<year>[12]\d{3})\)")
_QUOTED = re.compile(
    r"(?P<before>[^\"\u201c\u201d]{2,60})[\"\u201c](?P<quoted>[^\"\u201c\u201d]+)[\"\u201d](?P<behind>[^\"\u201c\u201d]{0,60})"
)
_ON_AXIS = re.compile(r"\(\s*(?:0\s*,\s*(?P<y>-?[\d./]+)|(?P<x>-?[\d./]+)\s*,\s*0)\s*\)")
_SHARE = re.compile(
    r"(?P<share>(?:about\s+|around\s+)?[\d.]+\s*(?:%|percent))\s+(?:of\s+)?(?P<whose>\S.*)", re.IGNORECASE
)
_ANYBODY = {"people", "respondents", "them", "those", "total", "all", "is", "are", "was", "were", "who"}
_ONE_OF_THEM = {"are": "is", "were": "was", "have": "has"}
"""`Which has more?` is answered by `They have more.`"""


def answers_around(text: str, words: Sequence[str], question: str, asked: Sequence[str]) -> Iterator[str]:
    """What is set off in a sentence whose other words are the question's. `asked`: its words, folded."""
    yield from _filled(words, question)
    yield from _narrowed(text, asked)
    yield from _quoted(text, asked)
    yield from _labelled(text, question)
    if (found := _ON_AXIS.fullmatch(text)) and f"{'x' if found['x'] else 'y'}-intercept" in question.casefold():
        yield found["x"] or found["y"]


def _filled(words: Sequence[str], question: str) -> Iterator[str]:
    """`quarter` of `It is quarter to two`, where the question has `It is (_) to two` with a blank."""
    for sentence in _SENTENCE.split(question):
        blank = _BLANK.search(sentence)
        if blank is None:
            continue
        before = [folded(word) for word in sentence[: blank.start()].split()]
        behind = [word for word in map(folded, sentence[blank.end() :].split()) if word]
        told = [folded(word) for word in words]
        end = len(told) - len(behind)
        if before + behind and end > len(before) and told[: len(before)] == before and told[end:] == behind:
            yield " ".join(words[len(before) : end])


def with_blank(question: str) -> str:
    """The sentence of a question that has a blank for its answer; the whole question where none has one."""
    blank = next((one for one in _SENTENCE.split(question) if _BLANK.search(one) and len(one.split()) > 3), None)
    return blank or question


def _quoted(text: str, asked: Sequence[str]) -> Iterator[str]:
    """`NO PARKING` of `The words "NO PARKING" are written on the sign`, where the question asks what is written."""
    found = _QUOTED.fullmatch(text)
    if found and not {*SAY, *TEXT, *_NAME}.isdisjoint(asked):
        known = {without_s(word) for word in (*asked, *SAY, *TEXT, *_NAME, *VERBS, "phrase", "that", "are")} | SMALL
        around = map(folded, f"{found['before']} {found['behind']}".split())
        if all(word in known or without_s(word) in known for word in around):
            yield found["quoted"]


def _labelled(text: str, question: str) -> Iterator[str]:
    """`China, India` of `From highest to lowest: China, India`, whose label is in the question word for word."""
    label, colon, rest = text.partition(": ")
    spelt = " ".join(label.casefold().split())
    if colon and " " in spelt and spelt in " ".join(question.casefold().split()):
        yield rest


def _narrowed(text: str, asked: Sequence[str]) -> Iterator[str]:
    """`United States` of `United States (2015)` and `62%` of `62% think so`, where all the rest is the question's."""
    if (found := _OF_YEAR.fullmatch(text)) and found["year"] in asked:
        yield found["name"]
    share = _SHARE.fullmatch(text)
    if share and not {"percent", "percentage", "share", "proportion"}.isdisjoint(asked):
        known = {without_s(word) for word in asked} | SMALL | _ANYBODY
        if all(without_s(word) in known or word in known for word in map(folded, share["whose"].split())):
            yield share["share"]


def without_s(word: str) -> str:
    """A word without the s of a plural or of a verb."""
    return word.removesuffix("s")


def folded(word: str) -> str:
    """A word as it is compared, without what stands around it."""
    plain = re.sub(r"['\u2019]s$", "", word.casefold().strip(".,;:?!()\"'*"))
    return _ONE_OF_THEM.get(plain, plain)
