r"""Writes inequalities of one variable in one form: `3 ≥ x > -2` as `-2<x≤3`, and beside an interval as `(-2,3]`.

Also two that stand side by side, `x > -2 and x ≤ 3`, unions, `x < 1 or x > 2`, and sets, `\{x \mid x > 1\}`. What this
leaves out: whether two are equal.
"""

import re

_END = r"([^<>≤≥=,()\[\]]+)"
_BOTH = re.compile(rf"{_END}([<>≤≥])\s*([A-Za-z])\s*([<>≤≥]){_END}")
_FLIPPED = str.maketrans("<>≤≥", "><≥≤")
_ONE = re.compile(rf"\s*([A-Za-z])\s*([<>≤≥]){_END}")
_TURNED = re.compile(r"\s*([^<>≤≥=,()\[\]A-Za-z]+?)\s*([<>≤≥])\s*([A-Za-z])\s*")
_MEMBER = re.compile(r"\s*[A-Za-z]\s*(?:\\in(?![A-Za-z])|∈)\s*(?=[(\[])")
_INTERVAL = re.compile(r"\s*[(\[][^()\[\],]+,[^()\[\],]+[)\]]\s*")
_UNION = re.compile(r"\s*\\cup\s*")
_AND = re.compile(r"\s*(?:,\s*|(?:,\s*)?\band\b\s*|∧|\\(?:land|wedge)(?![A-Za-z]))\s*")
_OR = re.compile(r"\s*(?:(?:,\s*)?\bor\b|∨|\\(?:lor|vee)(?![A-Za-z]))\s*")
_SET = re.compile(
    r"\\?\{\s*([A-Za-z])\s*(?:(?:\\in|∈)\s*(?:\\mathbb\{?R\}?|ℝ|R)\s*)?(?:\||:|\\mid(?![A-Za-z]))\s*(?P<held>[^{}]*?)\\?\}"
)

_NUMBER_FIRST = re.compile(r"(?P<number>-?[\d./]+|-?\\frac\{\d+\}\{\d+\})\s*(?P<sign>[<>≤≥])\s*(?P<unknown>[A-Za-z])")
_OF_X = re.compile(r"\b[a-z]\(x\)")
_TURNED_SIGN = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}


def unknown_first(text: str) -> str:
    """`x > 4` for `4 < x`, without white space."""
    found = _NUMBER_FIRST.fullmatch(text)
    return text if found is None else f"{found['unknown']}{_TURNED_SIGN[found['sign']]}{found['number']}"


def as_interval(text: str, other: str) -> str:
    """The interval that an inequality names, or the union of two; beside no interval, and else, the text as it is."""
    text, other = _MEMBER.sub("", text), _MEMBER.sub("", other)
    if all(map(_INTERVAL.fullmatch, parts := _UNION.split(other))):
        written = [_interval(part) for part in (_OR.split(text) if len(parts) > 1 else [text])]
        # The unbounded lower part first, as unions are written.
        if len(written) == 2 and written[1].startswith("(-\\infty"):
            written.reverse()
        return "\\cup ".join(written)
    return text


def rising(text: str) -> str:
    """A chain of inequalities with its lower end first; any other text as it is."""
    both = _BOTH.fullmatch(text)
    if both is None or both[2] not in ">≥" or both[4] not in ">≥":
        return text
    high, opens, name, closes, low = (part.strip() for part in both.groups())
    return f"{low}{closes.translate(_FLIPPED)}{name}{opens.translate(_FLIPPED)}{high}"


def chained(text: str) -> str:
    r"""`-2<x≤3` of `x > -2 and x ≤ 3` and of `\{x \mid -2 < x \leq 3\}`; any other text as it is."""
    held = _SET.fullmatch(text.strip())
    text = held["held"].strip() if held else text
    parts = [_ONE.fullmatch(_TURNED.sub(_other_way, part)) for part in _AND.split(text)]
    if len(parts) != 2:
        return text
    first, second = parts
    if first is None or second is None or first[1] != second[1]:
        return text
    low, high = (first, second) if first[2] in ">≥" else (second, first)
    # `x > 3 and x > 5` has one end only.
    if low[2] not in ">≥" or high[2] not in "<≤":
        return text
    return f"{low[3].strip()}{low[2].translate(_FLIPPED)}{low[1]}{high[2]}{high[3].strip()}"


def _other_way(found: re.Match[str]) -> str:
    return f"{found[3]}{found[2].translate(_FLIPPED)}{found[1]}"


def _interval(text: str) -> str:
    text = _OF_X.sub("y", text)
    if both := _BOTH.fullmatch(rising(text)):
        low, opens, _, closes, high = (part.strip() for part in both.groups())
        # `1 < x > 3` is not an interval.
        if opens not in "<≤" or closes not in "<≤":
            return text
        return f"{'[' if opens == '≤' else '('}{low},{high}{']' if closes == '≤' else ')'}"
    if one := _ONE.fullmatch(_TURNED.sub(_other_way, text)):
        end = one[3].strip()
        above = f"{'[' if one[2] == '≥' else '('}{end},\\infty)"
        return above if one[2] in ">≥" else f"(-\\infty,{end}{']' if one[2] == '≤' else ')'}"
    return text
