r"""Writes inequalities of one variable in one form: `3 ≥ x > -2` as `-2<x≤3`, and beside an interval as `(-2,3]`.

What this leaves out: whether two are equal.
"""

import re

_END = r"([^<>≤≥=,()\[\]]+)"
_BOTH = re.compile(rf"{_END}([<>≤≥])\s*([A-Za-z])\s*([<>≤≥]){_END}")
_FLIPPED = str.maketrans("<>≤≥", "><≥≤")
_ONE = re.compile(rf"\s*[A-Za-z]\s*([<>≤≥]){_END}")
_MEMBER = re.compile(r"\s*[A-Za-z]\s*(?:\\in(?![A-Za-z])|∈)\s*(?=[(\[])")
_INTERVAL = re.compile(r"\s*[(\[][^()\[\],]+,[^()\[\],]+[)\]]\s*")


def as_interval(text: str, other: str) -> str:
    """The interval that an inequality names; any other text as it is, and all of them beside no interval."""
    text = _MEMBER.sub("", text)
    if not _INTERVAL.fullmatch(_MEMBER.sub("", other)):
        return text
    if both := _BOTH.fullmatch(rising(text)):
        low, opens, _, closes, high = (part.strip() for part in both.groups())
        # `1 < x > 3` is no interval.
        if closes not in "<≤":
            return text
        return f"{'[' if opens == '≤' else '('}{low},{high}{']' if closes == '≤' else ')'}"
    if one := _ONE.fullmatch(text):
        end = one[2].strip()
        above = f"{'[' if one[1] == '≥' else '('}{end},\\infty)"
        return above if one[1] in ">≥" else f"(-\\infty,{end}{']' if one[1] == '≤' else ')'}"
    return text


def rising(text: str) -> str:
    """A chain of inequalities with its lower end first; any other text as it is."""
    both = _BOTH.fullmatch(text)
    if both is None or both[2] not in ">≥" or both[4] not in ">≥":
        return text
    high, opens, name, closes, low = (part.strip() for part in both.groups())
    return f"{low}{closes.translate(_FLIPPED)}{name}{opens.translate(_FLIPPED)}{high}"
