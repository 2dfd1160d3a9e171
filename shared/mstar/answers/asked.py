"""Finds the answer in a sentence that says the question again: `Ava needs $5.70`, `City Store has the lowest price`.

All words before the verb, or all behind the answer, must be the question's own: a sentence that says anything else is
not taken apart. What this leaves out: whether the answer is right.
"""

import re
from collections.abc import Iterator, Sequence

from mstar.answers.marks import bare

_LONGEST = 30
"""Words; a longer text is no bare answer."""
_VERBS = {"is", "was", "has", "had", "equals", "will", "would"}
_HELPERS = {"do", "does", "did", "can", "could", "will", "would", "should", "must"}
"""Behind these a question has its verb in its plain form, and the answer in another: `does it leave`, `it leaves`."""
_SMALL = {
    "a", "an", "the", "of", "in", "on", "at", "to", "from", "for", "by", "it", "its", "they", "there", "he", "she",
    "we", "his", "her", "their", "this", "that",
}  # fmt: skip
_BEFORE_ANSWER = {"in", "on", "at", "to", "from", "of", "by", "for", "about", "made", "called", "named"}
_SAYS_MORE = {
    "not", "no", "never", "neither", "nor", "none", "or", "but", "except", "unlike", "than", "half", "twice",
    "without", "instead",
}  # fmt: skip
_LIMITS = {
    "after",
    "before",
    "over",
    "under",
    "above",
    "below",
    "more",
    "less",
    "least",
    "most",
    "between",
    "until",
    "since",
}
_IN_ORDER = {
    "order", "ordered", "sequence", "first", "second", "last", "respectively", "rank", "ranked", "then", "next",
    "begin", "start", "top", "bottom",
}  # fmt: skip
_ONE_OF_THEM = {"are": "is", "were": "was", "have": "has"}
"""`Which has more?` is answered by `They have more.`"""
_PAST = {
    "spend": "spent", "sell": "sold", "buy": "bought", "get": "got", "take": "took", "leave": "left", "eat": "ate",
    "make": "made", "run": "ran", "give": "gave", "go": "went", "see": "saw", "pay": "paid", "have": "had",
    "find": "found", "read": "read", "win": "won", "begin": "began", "draw": "drew", "lose": "lost",
}  # fmt: skip


def answers_in_words(said: str, question: str) -> Iterator[str]:
    """What a sentence may give for its answer, none for a text that is no sentence of the question's words."""
    text = bare(said, sentences=False)
    words, asked = text.split(), [_folded(word) for word in question.split()]
    if "\n" in text or not 2 <= len(words) <= _LONGEST or not asked:
        return
    yield from _assigned(text, question)
    told = [_folded(word) for word in words]
    yield from _before(words, told, f" {' '.join(asked)} ")
    yield from _behind(words, told, asked)
    yield from _counted(words, told, asked)
    yield from _called(words, told, asked)


def asks_order(question: str) -> bool:
    """Whether the order of what is named may be part of the answer."""
    return not _IN_ORDER.isdisjoint(_folded(word) for word in question.split())


def _assigned(text: str, question: str) -> Iterator[str]:
    """`5/13` of `sin A = 5/13`, where the question asks for sin A."""
    name, sign, value = text.partition("=")
    if sign and len(_typed(name)) > 1 and _typed(name) in _typed(question):
        yield value.strip("$ ")


def _typed(text: str) -> str:
    return re.sub(r"[\\${}\s]", "", text)


def _before(words: Sequence[str], told: Sequence[str], asked: str) -> Iterator[str]:
    """`City Store` of `City Store has the lowest price`: what is behind it is in the question, word for word.

    Without a verb it is what the question asks for: `grey` of `the grey color`, where it asks which color.
    """
    for place in range(1, len(told)):
        verb, behind = told[place], " ".join(told[place:])
        says = len(told) - place > 1 and (verb in _VERBS or verb == "of" or verb.endswith(("s", "ed")))
        if (says and f" {behind} " in asked) or any(f" {kind} {behind} " in asked for kind in ("which", "what")):
            yield " ".join(words[:place])
            return


def _behind(words: Sequence[str], told: Sequence[str], asked: Sequence[str]) -> Iterator[str]:
    """`$5.70` of `Ava needs $5.70`: what is before it are words of the question, the last one a verb."""
    known = {_singular(word) for word in asked} | _SMALL
    verbs = _VERBS | set(_inflected(asked))
    for place in range(1, len(told) - 1):
        head = told[:place]
        if _SAYS_MORE & set(head) or not all(word in _SMALL or _singular(word) in known for word in head):
            return
        if told[place] not in verbs:
            continue
        begin = place + 1
        yield " ".join(words[begin:])
        # `is made of rubber`, `is looking down`, `leaves at 8:45`
        while begin < len(told) - 1 and (
            told[begin] in _BEFORE_ANSWER or (told[begin].endswith(("ing", "ed")) and told[begin] in asked)
        ):
            begin += 1
            yield " ".join(words[begin:])


def _counted(words: Sequence[str], told: Sequence[str], asked: Sequence[str]) -> Iterator[str]:
    """`3` of `There are 3 bars taller than 40` and of `3 more apples`, where the question asks how many.

    What is behind the number are words of the question in its order, so that `3 more pears than apples` is none where
    it asks how many more apples than pears.
    """
    begin = 2 if tuple(told[:2]) in {("there", "is"), ("there", "was")} else 0
    if asked[:2] not in (["how", "many"], ["how", "much"]) or len(told) < begin + 2:
        return
    left = iter(asked[2:])
    if all(any(_singular(word) == _singular(other) for other in left) for word in told[begin + 1 :]):
        yield words[begin]


def _called(words: Sequence[str], told: Sequence[str], asked: Sequence[str]) -> Iterator[str]:
    """`02139` of `zip code 02139`, where the question asks what the zip code is."""
    if asked[:2] not in (["what", "is"], ["what", "was"]) or (_SAYS_MORE | _BEFORE_ANSWER | _LIMITS) & set(told):
        return
    name = asked[3:] if asked[2:3] == ["the"] else asked[2:]
    if 0 < len(name) < len(told) and list(told[: len(name)]) == list(name):
        yield " ".join(words[len(name) :])


def _inflected(asked: Sequence[str]) -> Iterator[str]:
    """Forms of the words behind `does` and `did`, one of which is the verb."""
    first = next((place for place, word in enumerate(asked) if word in _HELPERS), len(asked))
    for word in asked[first + 1 :]:
        yield from (f"{word}s", f"{word}es", f"{word}d", f"{word}ed", f"{word[:-1]}ies", f"{word[:-1]}ied")
        if word in _PAST:
            yield _PAST[word]


def _singular(word: str) -> str:
    return word.removesuffix("s")


def _folded(word: str) -> str:
    plain = re.sub(r"['\u2019]s$", "", word.casefold().strip(".,;:?!()\"'*"))
    return _ONE_OF_THEM.get(plain, plain)
