"""Compares quantities that say more than a number: `20 newtons to the left` for 20 N to the left, `0.8c` for 0.80c.

What this leaves out: numbers with a unit alone (`numbers`), and sentences (`asked`).
"""

import re
from fractions import Fraction

from mstar.answers.units import factor, is_known, same_unit

_DIRECTION = (
    r"(?:up|down|left|right|east|west|north|south|(?:north|south)[- ]?(?:east|west)|upward|downward|leftward|rightward"
    r"|eastward|westward|northward|southward|forward|backward|inward|outward)s?"
)
_DIRECTED = re.compile(
    r"(?P<value>-?\d[\d,]*(?:\.\d+)?)\s*(?P<unit>[^\W\d_][\w/^·² ³]{0,24}?)(?:,?\s+(?:(?:directed|pointing|acting)\s+)?"
    rf"(?:due\s+|(?:to|in|towards?)\s+(?:the\s+)?)?|,\s*)(?P<way>{_DIRECTION})(?:\s+direction)?",
    re.IGNORECASE,
)
_MULTIPLE = re.compile(r"(?:[a-z]\s*=\s*)?(?P<value>-?\d{1,9}(?:\.\d{1,9})?)\s*(?P<of>[a-z])", re.IGNORECASE)


def same_directed(said: str, gold: str) -> bool:
    """Whether both name one quantity and one direction."""
    told, asked = _DIRECTED.fullmatch(said), _DIRECTED.fullmatch(gold)
    if told is None or asked is None or _way(told["way"]) != _way(asked["way"]):
        return False
    one, other = (Fraction(found["value"].replace(",", "")) for found in (told, asked))
    if same_unit(told["unit"], asked["unit"]):
        return one == other
    times = factor(told["unit"], asked["unit"]) if is_known(told["unit"]) else None
    return times is not None and one * times == other


def same_multiple(said: str, gold: str) -> bool:
    """`0.8c` and `v = 0.80c` for 0.80c: a number and a letter that says of what."""
    told, asked = _MULTIPLE.fullmatch(said), _MULTIPLE.fullmatch(gold)
    return (
        told is not None
        and asked is not None
        and told["of"] == asked["of"]
        and Fraction(told["value"]) == Fraction(asked["value"])
    )


def _way(text: str) -> str:
    return re.sub(r"[- ]", "", text.casefold()).removesuffix("s").removesuffix("ward")
