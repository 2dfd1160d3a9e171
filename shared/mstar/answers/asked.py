"""Finds the answer in a sentence that repeats the question: `Ava needs $5.70`, `City Store has the lowest price`.

All words before the verb, or all after the answer, must be the question's own: a sentence that says anything else is
not taken apart. What this leaves out: whether the answer is right.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile

from mstar.answers.around import PAST, SAY, SMALL, TEXT, VERBS, answers_around, folded, without_s
from mstar.answers.beside import answers_beside
from mstar.answers.marks import bare
from mstar.answers.numbers import CHANGES
from mstar.answers.renamed import named_again
from mstar.answers.restated import answers_restated, long_forms
from mstar.answers.stated import answers_stated, answers_unspaced
from mstar.answers.supported import answers_supported, without_support
from mstar.answers.wanted import names_counted

_LONGEST = 30
"""Words; a longer text is not a bare answer."""
_OF_PICTURES = {"shows", "reads", "displays", "indicates", "represents", "contains", "gives", "measures"}
"""None of these is what somebody does of whom a question asks."""
_ENGLISH = {"the", "is", "what", "which", "how", "who", "where", "when", "are", "was", "does", "do", "did"}
_MODALS = {"can", "could"}
_HELPERS = {"do", "does", "did", "can", "could", "will", "would", "should", "must"}
"""After these a question has its verb in its plain form, and the answer in another: `does it leave`, `it leaves`."""
_BEFORE_ANSWER = {"in", "on", "at", "to", "from", "of", "by", "for", "about", "made", "called", "named"}
_SAYS_MORE = {
    "not", "no", "never", "neither", "nor", "none", "or", "but", "except", "unlike", "than", "half", "twice",
    "without", "instead",
}  # fmt: skip
_OF_WHAT = {"in", "of", "for", "on", "at", "per", "from", "to", "during", "between"}
_LIMITS = {
    "after", "before", "over", "under", "above", "below", "more", "less", "least", "most", "between", "until", "since",
}  # fmt: skip
_SOME = {"most", "some", "any", "many", "each", "first", "second", "other", "not", "all", "both"}
"""Words of a question that asks of other things than all of them."""
_IN_ORDER = {
    "order", "ordered", "sequence", "first", "second", "last", "respectively", "rank", "ranked", "then", "next",
    "begin", "start", "top", "bottom",
}  # fmt: skip
_OPTION = re.compile(r"[(\[]?[A-Z][)\].:]+")
"""The letter of `(A) It would decrease`, which is no article."""
_SO = re.compile(r"^(?:so|thus|hence|therefore)\b,?\s+", re.IGNORECASE)
_LEAD = re.compile(
    r"(?:in|for|from|on|by|using|at|with|after|according\s+to|based\s+on)\s+(?P<where>[^,=]{1,60}),\s+", re.IGNORECASE
)
_PICTURE = {
    "figure", "chart", "graph", "table", "picture", "image", "diagram", "map", "photo", "given", "shown", "right",
    "triangle", "data", "above", "following", "\\triangle", "\\angle", "pythagorean", "theorem",
}  # fmt: skip
_ARTICLES = re.compile(r"\s(?:(?:the|an?)\s)+")
_ASKING = re.compile(r"\b(?:what|which|how|find|calculate|determine|compute|then)\b", re.IGNORECASE)
_DONE = {
    "written": "wrote", "drawn": "drew", "made": "made", "taken": "took", "given": "gave", "won": "won", "sung": "sang",
    "built": "built", "sold": "sold", "led": "led", "found": "found", "shown": "shows", "spoken": "spoke",
    "driven": "drove",
}  # fmt: skip
_OF_MEASURE = {
    "heavy": {"weighs", "weigh", "weighed"}, "weight": {"weighs", "weigh", "weighed"}, "cost": {"costs"},
    "price": {"costs", "cost"}, "long": {"lasts", "lasted", "takes", "took"}, "mass": {"weighs"},
    "arrival": {"arrives", "arrived"}, "departure": {"departs", "departed", "leaves", "left"},
    "expiration": {"expires", "expired"}, "written": {"says", "say", "reads", "read"},
}  # fmt: skip
"""Verbs that say what a question asks for with another word."""


def answers_in_words(said: str, question: str) -> Iterator[str]:
    """What a sentence may give for its answer, none for a text that is not a sentence of the question's words."""
    text = _SO.sub("", long_forms(bare(said, sentences=False)).replace("**", ""))
    yield from answers_unspaced(text, question)
    words, asked = text.split(), [folded(word) for word in question.split()]
    if "\n" in text or not 2 <= len(words) <= _LONGEST or not asked:
        return
    if _SO.match(bare(said, sentences=False)):
        yield text
    if "**" in said:
        yield text
    if (rest := _without_lead(text, question, asked)) != text:
        yield rest
        text, words = rest, rest.split()
        yield from _assigned(text, question)
    if (cut := without_support(text, question)) != text:
        yield cut
        text, words = cut, cut.split()
    yield from answers_supported(text, question)
    yield from answers_beside(bare(text), question)
    # `three wheels` of `It has three wheels`, where the question asks how many.
    held = bare(text).split()
    yield from _counted(held, [folded(word) for word in held], asked, question)
    yield from _assigned(text, question)
    yield from answers_around(text, words, question, asked)
    told = [folded(word) for word in words]
    yield from _without_end(words, told, asked)
    yield from _before(words, told, f" {' '.join(asked)} ")
    yield from answers_restated(text, question, told, asked)
    yield from _behind(words, told, asked)
    yield from _counted(words, told, asked, question)
    yield from _called(words, told, asked)
    yield from named_again(text, words, told, question)
    yield from answers_stated(text, question)


def _without_lead(text: str, question: str, asked: Sequence[str]) -> str:
    """`AC = 5` of `In triangle ABC, AC = 5`: what is in front of the comma says where, in the question's own words."""
    found = _LEAD.match(text)
    known = {without_s(word.strip("$△∠")) for word in asked} | SMALL | _PICTURE
    # Of the letters that the question has: ABC is the triangle of AB and BC.
    letters = set("".join(re.findall(r"(?<![A-Za-z])[A-Z]{1,4}(?![A-Za-z])", question)))
    if found is None or not all(
        (name := without_s(folded(word).strip("$△∠"))) in known
        or set(word.strip("$△∠")) <= letters
        or any(name == f"{one}ing" for one in known)
        for word in found["where"].split()
    ):
        return text
    return text[found.end() :]


def asks_order(question: str) -> bool:
    """Whether the order of what is named may be part of the answer."""
    return not _IN_ORDER.isdisjoint(folded(word) for word in question.split())


def _assigned(text: str, question: str) -> Iterator[str]:
    """`5/13` of `sin A = 5/13`, where the question asks for sin A."""
    name, sign, value = text.partition("=")
    if not sign:
        return
    # In another case, `Angle 2 = 45°`, only where the question asks for just that.
    tail = question[max((found.start() for found in _ASKING.finditer(question)), default=0) :]
    spelt, asked = _spelt(name), _spelt(tail)
    if (len(_typed(name)) > 1 and _typed(name) in _typed(question)) or (
        len(spelt) > 3 and re.search(rf"(?<!\w){re.escape(spelt)}(?!\w)", asked)
    ):
        yield value.strip("$ ")


def _typed(text: str) -> str:
    return re.sub(r"[\\${}\s]", "", text)


def _spelt(text: str) -> str:
    """With the sign of an angle as its word, in small letters."""
    return " ".join(re.sub(r"∠|\\angle\b", " angle ", text).replace("$", " ").casefold().split())


def _before(words: Sequence[str], told: Sequence[str], asked: str) -> Iterator[str]:
    """`City Store` of `City Store has the lowest price`: what is behind it is in the question, word for word.

    Without a verb it is what the question asks for: `grey` of `the grey color`, where it asks which color.
    """
    loosely = _ARTICLES.sub(" ", asked)
    for place in range(1, len(told)):
        verb, behind = told[place], " ".join(told[place:])
        says = len(told) - place > 1 and (verb in VERBS or verb == "of" or verb.endswith(("s", "ed")))
        singular = f" {_ARTICLES.sub(' ', behind).removesuffix('s')} "
        again = f" {behind} " in asked or singular in loosely or _ARTICLES.sub(" ", f" {behind} ") in loosely
        if (says and again) or any(f" {kind} {behind} " in asked for kind in ("which", "what", "who")):
            yield " ".join(words[:place])
            return


def _behind(words: Sequence[str], told: Sequence[str], asked: Sequence[str]) -> Iterator[str]:
    """`$5.70` of `Ava needs $5.70`: what is before it are words of the question, the last one a verb."""
    known = {without_s(word) for word in asked} | SMALL
    known |= {"all", "both"} if _SOME.isdisjoint(asked) else set()
    known |= {"with"} if "has" in asked or "have" in asked else set()
    known |= {"person", "man", "woman"} if asked[0] == "who" else set()
    known |= {"number", "population", "amount", "level"} if "happen" in asked else set()
    known |= TEXT if not SAY.isdisjoint(asked) else set()
    verbs = {verb for word in asked for verb in _OF_MEASURE.get(word, ())}
    verbs |= set(asked) if _ENGLISH.isdisjoint(asked) else set()
    verbs |= VERBS - _no_verbs(asked) | set(_inflected(asked)) | set(asked) & set(PAST.values())
    for place in range(1, 0 if _OPTION.fullmatch(words[0]) else len(told) - 1):
        head = told[:place]
        if _SAYS_MORE & set(head) or not all(word in SMALL or without_s(word) in known for word in head):
            return
        if told[place] not in verbs:
            continue
        if (
            _turns_round(head, told[place:], asked)
            or _of_condition(head, asked)
            or (asked[0] == "how" and {"more", "than"} <= set(asked) and "more" not in told)
        ):
            return
        begin = place + 1 + _as_asked(told[place:], asked)
        yield " ".join(words[begin:])
        yield from _without_end(words[begin:], told[begin:], asked)
        yield from _without_place(words[begin:], told[begin:], asked)
        if told[place] in ("is", "was"):
            yield " ".join(words[place:])  # `They are equal` of `Both lines are equal`
        for end in range(place + 2, len(told)):  # `will most likely increase`
            if list(told[place:end]) == list(asked[place - end :]):
                yield " ".join(words[end:])
        if asked[0] == "who" and "by" not in told and set(told[begin:]) & _BEFORE_ANSWER - {"of", *asked}:
            return  # `It was painted for Monet`
        if told[place] in _MODALS and told[begin] in asked:
            yield " ".join(words[begin + 1 :])  # `The van can fit 8 people`
        # `is made of rubber`, `is looking down`, `leaves at 8:45`
        while begin < len(told) - 1 and (
            told[begin] in _BEFORE_ANSWER
            or (told[begin].endswith("ing") and told[begin].removesuffix("ing") + "ed" in asked)
            or (told[begin] in asked and told[begin].endswith(("ing", "ed")))
            or (told[begin].endswith("ed") and told[begin].removesuffix("d") in asked)
            or (
                told[begin + 1] == "by"
                and not {_DONE.get(told[begin], told[begin]), f"{told[begin].removesuffix('ed')}s"}.isdisjoint(asked)
            )
            or (told[begin + 1] in _BEFORE_ANSWER and _follows(told[begin], head[-1], asked))
        ):
            begin += 1
            yield " ".join(words[begin:])
            yield from _without_end(words[begin:], told[begin:], asked)
            yield from _without_place(words[begin:], told[begin:], asked)
            if {"which", "what"} & set(asked[:2]) and told[begin] in asked[1:3]:
                yield " ".join(words[begin + 1 :])  # `is in Quadrant II`


def _no_verbs(asked: Sequence[str]) -> set[str]:
    """Verbs that say another thing: `The photo shows her` of who took it, `He has $5` of how much he needs."""
    shown = _OF_PICTURES if asked[0] == "who" else set()
    return shown | ({"has", "had"} if _HELPERS & {*asked} and not {"have", "has", "had"} & {*asked} else set())


def _as_asked(told: Sequence[str], asked: Sequence[str]) -> int:
    """How many words behind a verb are behind it in the question too: `in the air` of `stays in the air for`."""
    for place in range(1, len(asked)):
        pairs = zip(told[1:-2], asked[place:], strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        if same and told[0].startswith(asked[place - 1]) and told[same + 1] in _BEFORE_ANSWER:
            return same
    return 0


def _without_end(words: Sequence[str], told: Sequence[str], asked: Sequence[str]) -> Iterator[str]:
    """`$12` of `$12 in change`, `3.4 million` of `3.4 million in 2012`, where the question asks how much."""
    if "how" not in asked[:2] or len(told) < 3:
        return
    end = next((place for place, word in enumerate(told[:4]) if word in _OF_WHAT), 0)
    if 0 < end < len(told) - 1 and all(word in SMALL or word in asked for word in told[end + 1 :]):
        yield " ".join(words[:end])


def _without_place(words: Sequence[str], told: Sequence[str], asked: Sequence[str]) -> Iterator[str]:
    """`an umbrella` of `an umbrella in his right hand`, whose last words are the question's last ones."""
    end = next((place for place, word in enumerate(told) if place and word in _OF_WHAT | {"when", "while", "if"}), 0)
    if 1 < len(told) - end < len(told) and list(told[end:]) == list(asked[end - len(told) :]):
        yield " ".join(words[:end])


def _follows(word: str, head: str, asked: Sequence[str]) -> bool:
    """Whether a question has a word, and after the other: `imports exceeded exports` is another fact than it asks."""
    return word in asked and (head not in asked or asked.index(head) < len(asked) - 1 - asked[::-1].index(word))


def _turns_round(head: Sequence[str], behind: Sequence[str], asked: Sequence[str]) -> bool:
    """Whether `Ann is to the left of …` answers who is to the left of Ann, which is the other way round."""
    place = len(asked) - len(head) - 1
    return (
        place > 1
        and list(asked[place + 1 :]) == list(head)
        and asked[place] in _OF_WHAT | _LIMITS
        and asked[place] in behind
    )


def _of_condition(head: Sequence[str], asked: Sequence[str]) -> bool:
    """Whether a sentence is about what a condition in front speaks of, and not about what the question asks.

    `The number of snakes` where the number of mice is asked for, if that of snakes decreases.
    """
    if asked[:1] not in (["if"], ["when"], ["as"]) or "the" not in head:
        return False
    size = len(head)
    windows = [list(asked[place : place + size]) for place in range(len(asked) - size + 1)]
    if windows.count(list(head)) != 1:
        return False
    later = windows[windows.index(list(head)) + size :]
    return any(sum(one != other for one, other in zip(window, head, strict=True)) == 1 for window in later)


def _counted(words: Sequence[str], told: Sequence[str], asked: Sequence[str], question: str) -> Iterator[str]:
    """`3` of `There are 3 bars taller than 40` and of `3 more apples`, where the question asks how many.

    What is behind the number are words of the question in its order, so that `3 more pears than apples` is none where
    it asks how many more apples than pears.
    """
    begin = 2 if tuple(told[:2]) in {("there", "is"), ("there", "was")} else 0
    if asked[:2] not in (["how", "many"], ["how", "much"]) or len(told) < begin + 2:
        return
    # `4 million` is another number, also where the question says million.
    if told[begin + 1] in CHANGES - {"more", "less", "fewer"} or not names_counted(told[begin + 1 :], question):
        return
    # How much change did she get: what is behind the verb is not part of what is asked for.
    nouns = (
        asked[2:]
        if asked[1] == "many" or "than" in asked
        else list(takewhile(lambda word: word not in _HELPERS, asked[2:]))
    )
    left = iter(nouns)
    if all(any(without_s(word) == without_s(other) for other in left) for word in told[begin + 1 :]):
        yield words[begin]


def _called(words: Sequence[str], told: Sequence[str], asked: Sequence[str]) -> Iterator[str]:
    """`02139` of `zip code 02139` and of `Code: 02139`, where the question asks what the zip code is."""
    if asked[:2] not in (["what", "is"], ["what", "was"]) or (_SAYS_MORE | _BEFORE_ANSWER | _LIMITS) & set(told):
        return
    name = asked[3:] if asked[2:3] == ["the"] else asked[2:]
    # Of the boys in `the number of boys in the class of girls`.
    name = list(takewhile(lambda word: word == "of" or word not in _BEFORE_ANSWER, name))
    label = next((place for place, word in enumerate(words[:3], 1) if word.endswith(":")), 0)
    if 0 < label < len(words) and set(told[:label]) <= set(name):
        yield " ".join(words[label:])
    # `pH 7`, where the question asks for the pH of something.
    name = list(takewhile(lambda word: word != "of", name)) if told[: len(name)] != name else name
    if 0 < len(name) < len(told) and list(told[: len(name)]) == name:
        yield " ".join(words[len(name) :])


def _inflected(asked: Sequence[str]) -> Iterator[str]:
    """Forms of the words after `does` and `did`, one of which is the verb."""
    first = next((place for place, word in enumerate(asked) if word in _HELPERS), len(asked))
    yield from (f"{word.removesuffix('ing')}s" for word in asked if word.endswith("ing"))
    for word in asked[first + 1 :]:
        yield from (f"{word}s", f"{word}es", f"{word}d", f"{word}ed", f"{word[:-1]}ies", f"{word[:-1]}ied")
        if word in PAST:
            yield PAST[word]
