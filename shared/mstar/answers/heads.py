"""Tells when the words in front of a value name something that the question does not ask for.

`The translator is …` where it asks for the author, `The top speed is 60` for the average one. A sentence counts by what
it says of the question's own words, of words for the same thing, and of words for any answer; what this leaves out: the
order of these words (`subjects`).
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from mstar.answers.numbers import in_digits
from mstar.answers.wanted import singular

_VERB = re.compile(
    r"=|≈|\\approx\b|:\s|\b(?:is|are|was|were|equals?|measures|has|have|had|will|would|can|could|shows|reads|costs?)\b"
)
_WORD = re.compile(r"(?<![\\\w{])[^\W\d_]{3,}(?![\w}])")
_NOT_WORDS = re.compile(
    r"\\[A-Za-z]+|\$[^$]*\$|\\\([^)]*\\\)|[A-Za-z]?\([^()]*\)|[∠△]\s*\w+|(?<![A-Za-z])[A-Z]{1,4}(?![A-Za-z])"
)
_HOW_MANY = re.compile(r"\bhow\s+many\b", re.IGNORECASE)
_STATE = re.compile(r"(?:there\s+(?:is|are|was|were)\s+)?\d[\d.,]*\s+[^\W\d_]", re.IGNORECASE)
_LINKS = {"are", "was", "were", "who", "different", "distinct", "such", "more", "than", "fewer", "less", "way"}
"""Words beside a count that change nothing of what is counted."""
_FINAL = re.compile(r"\b(?:final|last|overall)\s+(?=answer|result|value|total|solution)", re.IGNORECASE)
_COUNTED = re.compile(r"(?<![\d.,])(\d+(?:\.\d+)?)\s*([^\W\d_]+)")
_OF_AXIS = re.compile(r"\b([a-z])\$?-(?:intercept|axis|coordinate|value)s?\b")
_LETTERS = re.compile(r"[^\W\d_]+")
_OF_SHAPES = (
    "triangle square rectangle circle parallelogram trapezoid trapezium rhombus kite pentagon hexagon octagon cube"
    " cuboid prism pyramid cylinder cone sphere ellipse quadrilateral sector semicircle"
)
_OF_COLOURS = "red blue green yellow orange purple pink brown black white grey gray cyan magenta teal"
_BEFORE_ANY = (
    "the and for its this that these those their his her our your with from into than which who what whose when where"
    " there here all both only same each per answer solution result value number amount quantity count figure"
    " correct right best option choice one ones item thing object response conclusion total sum overall combined"
    " required desired requested calculated computed estimated approximate exact given shown displayed above following"
    " missing unknown chart graph table picture image diagram map photo question problem data name named called title"
    " therefore thus hence then now finally measure measured expression equation letter label shaded region shape"
    " side angle line point segment bar part unit simplified simplest form length between over during"
    " about after before being been does did has have had get gets still just also actual they she"
    " resulting central net using pythagorean theorem law one two three four five six seven eight nine ten"
)
_FOR_ONE_THING = """
author writer wrote written write; cost price spend spent pay paid charge worth sell money; average mean; age old born
many number count times; time when long hour duration last take clock minute arrive leave
where place location city town country state located position capital area region
name who person people man woman boy girl; year when date; date day when; height tall high
length long distance far side; width wide
weight heavy mass weigh; depth deep; distance far apart travel; speed fast velocity quick
temperature hot cold warm cool degree; percent percentage proportion share fraction rate portion part
difference more less gap fewer longer taller older heavier farther increase decrease change higher lower
ratio rate scale factor; perimeter around boundary circumference; measure size degree find angle; color colour
type kind sort category class; company firm brand manufacturer maker organization business
highest largest maximum most greatest biggest tallest peak longest top max
lowest smallest minimum least fewest shortest bottom min; left remain remaining; sum total altogether all
area cover surface; volume capacity hold space fill; say said write written word text read quote; slope gradient steep
root zero solution solve; profit gain earn earned income revenue made; chance likely probability odds
phone telephone mobile; sender from sent; recipient receiver addressed to; car vehicle automobile
picture photo image painting drawing; job occupation profession work; animal species organism
first initial start starting beginning; last final end ending after; first earliest; last latest newest; current today
bill invoice receipt; set group; main primary; purpose aim goal reason; population people inhabitant; kid child student
happen population amount level
"""
_SHAPES, _COLOURS, _ANY = (frozenset(words.split()) for words in (_OF_SHAPES, _OF_COLOURS, _BEFORE_ANY))
"""The last are words that may stand before any answer."""
_ALIKE = tuple(frozenset(words.split()) for words in re.split(r"[;\n]", _FOR_ONE_THING) if words.strip())
"""Words that ask for one thing."""
_SHORTEST_QUESTION = 1
"""Words that tell what is asked for; of `What is it?` nothing is known."""


def names_something_else(text: str, question: str, own: set[str]) -> bool:
    """Whether a word in front of the verb is none of the question's, and none that may stand before any answer.

    `own`: words of the reference and of the options, which say what the answer is.
    """
    found = _VERB.search(text)
    asked = folded_words(question)
    if found is None or sum(len(word) > 2 for word in asked - _ANY) < _SHORTEST_QUESTION:
        return False
    if _STATE.match(in_digits(text)) and _HOW_MANY.search(question) and asked - _ANY - {"how", "many"}:
        # `4 objects are removed`, where the question asks how many are left.
        words = {singular(word) for word in _WORD.findall(_NOT_WORDS.sub(" ", in_digits(text)))} - _LINKS
        return any(not may_stand(word, asked) for word in words)
    if _has_another_number(text[: found.start()], question) or _has_another_axis(text[: found.start()], question):
        return True
    clause = re.split(r"\n|,\s", text[: found.start()])[-1]
    head = {singular(word) for word in _WORD.findall(_NOT_WORDS.sub(" ", _FINAL.sub("", clause)))}
    if not head or not head.isdisjoint(map(singular, own)):
        return False
    return any(not may_stand(word, asked) for word in head)


def _has_another_number(head: str, question: str) -> bool:
    """`The current through the 2 Ω resistor` where the question asks for the one of 4 Ω."""
    numbers, asked = (
        {found[0] for found in _COUNTED.findall(question)},
        dict((word.casefold(), number) for number, word in _COUNTED.findall(question)),
    )
    return any(word.casefold() in asked and number not in numbers for number, word in _COUNTED.findall(head))


def _has_another_axis(head: str, question: str) -> bool:
    """`The x-intercept` and `x =` where the question asks for the y-intercept."""
    asked = set(_OF_AXIS.findall(question))
    told = set(_OF_AXIS.findall(head)) or {head.strip(" $")} & {"x", "y"}
    return bool(told and asked) and told.isdisjoint(asked)


def may_stand(word: str, asked: frozenset[str]) -> bool:
    """Whether a word is the question's, says the same as one of it, or may be beside any answer."""
    for kind in (_SHAPES, _COLOURS):
        if word in kind:
            return word in asked or asked.isdisjoint(kind)
    if word in _ANY or word in asked or any(is_of_one_stem(word, other) for other in asked):
        return True
    return says_same(word, asked)


def says_same(word: str, asked: Iterable[str]) -> bool:
    """Whether a word asks for what one of the question's does: `distance` where it asks how far."""
    return any(word in alike and not alike.isdisjoint(asked) for alike in _ALIKE)


def is_of_one_stem(word: str, other: str) -> bool:
    """`growth` and `growing`, by their first letters; `det` for determinant."""
    if other.startswith(word):
        return True
    least = max(4, min(len(word), len(other)) - 1)
    return word[:least] == other[:least] and min(len(word), len(other)) >= least


@lru_cache(maxsize=4096)
def folded_words(question: str) -> frozenset[str]:
    """The words of a question, each in its singular."""
    return frozenset(singular(word) for word in _LETTERS.findall(question))
