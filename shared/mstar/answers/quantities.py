"""Quantities in several units at once: `5 ft 6 in`, `5'6"`, `2 lb 3 oz`, compared by their sum."""

import re
from fractions import Fraction
from itertools import pairwise

from mstar.answers.numbers import in_digits
from mstar.answers.units import factor, same_unit

_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([a-z]+)\.?")
_JOINED = re.compile(r"(?<=[a-z.])\s*(?:,\s*)?(?:and\s+)?(?=\d)|$")
_FEET = re.compile(r"(\d{1,9})\s*['\u2019\u2032]\s*(?:(\d{1,9}(?:\.\d{1,9})?)\s*(?:\"|''|\u201d|\u2033|in\b)\s*)?")
_WRITTEN = {"feet": "ft", "foot": "ft", "in": "inch", "lbs": "lb", "ozs": "oz"}


def same_compound(said: str, gold: str) -> bool:
    """Whether both name one quantity, of which the reference has several units and the response any number."""
    asked = _parts(gold)
    if len(asked) < 2:
        return False
    first = _total(asked, asked[0][1])
    return first is not None and first == total_in(said, asked[0][1])


def total_in(text: str, unit: str) -> Fraction | None:
    """`1 hour 30 minutes` as 90 minutes; None for what is not a quantity, or none in this unit."""
    parts = _parts(in_digits(text))
    return _total(parts, unit) if parts else None


def _parts(text: str) -> list[tuple[Fraction, str]]:
    """Numbers with their units; empty for anything else."""
    if feet := _FEET.fullmatch(text):
        return [(Fraction(feet[1]), "ft"), *([(Fraction(feet[2]), "inch")] if feet[2] else [])]
    found: list[tuple[Fraction, str]] = []
    place = 0
    while part := _PART.match(text, place):
        found.append((Fraction(part[1]), _WRITTEN.get(part[2], part[2])))
        joined = _JOINED.match(text, part.end())
        if joined is None:
            return []
        place = joined.end()
    return found if place == len(text) else []


def _total(parts: list[tuple[Fraction, str]], unit: str) -> Fraction | None:
    """The sum in one unit; None for units that measure different things, or of which a smaller one comes first."""
    factors = [Fraction(1) if same_unit(name, unit) else factor(name, unit) for _, name in parts]
    known = [one for one in factors if one is not None]
    if len(known) < len(factors) or any(one <= other for one, other in pairwise(known)):
        return None
    # Factors come from floats: 1 inch is 0.08333333333 ft to them.
    return round(sum((count * one for (count, _), one in zip(parts, known, strict=True)), Fraction(0)), 6)
