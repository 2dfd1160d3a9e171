r"""Writes inequalities of one variable as intervals: `-2 < x ≤ 3` is `(-2,3]`, and `x > 0` is `(0,\infty)`.

Only where the other side is an interval, whose brackets and ends are then compared as ever.
"""

import re

_END = r"([^<>≤≥=,()\[\]]+)"
_BOTH = re.compile(rf"{_END}([<>≤≥])\s*[A-Za-z]\s*([<>≤≥]){_END}")
_ONE = re.compile(rf"\s*[A-Za-z]\s*([<>≤≥]){_END}")
_MEMBER = re.compile(r"\s*[A-Za-z]\s*(?:\\in(?![A-Za-z])|∈)\s*(?=[(\[])")
_INTERVAL = re.compile(r"\s*[(\[][^()\[\],]+,[^()\[\],]+[)\]]\s*")


def as_interval(text: str, other: str) -> str:
    """The interval that an inequality names; any other text as it is, and all of them beside no interval."""
    text = _MEMBER.sub("", text)
    if not _INTERVAL.fullmatch(_MEMBER.sub("", other)):
        return text
    if both := _BOTH.fullmatch(text):
        low, opens, closes, high = (part.strip() for part in both.groups())
        # `1 < x > 3` is no interval.
        if (opens in "<≤") != (closes in "<≤"):
            return text
        if opens in ">≥":
            low, opens, closes, high = high, closes, opens, low
        return f"{'[' if opens in '≤≥' else '('}{low},{high}{']' if closes in '≤≥' else ')'}"
    if one := _ONE.fullmatch(text):
        end = one[2].strip()
        above = f"{'[' if one[1] == '≥' else '('}{end},\\infty)"
        return above if one[1] in ">≥" else f"(-\\infty,{end}{']' if one[1] == '≤' else ')'}"
    return text
