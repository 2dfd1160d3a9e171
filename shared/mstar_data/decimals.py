"""Answers with a decimal comma, `1,5`, as tables of many countries have them.

Nothing in such a cell tells it from a list of two, or `1,234` from a thousand: the other answers of its column do.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from mstar.answers.options import CHOICE_COLUMNS, LETTER_COLUMNS, NUMBER_COLUMNS
from mstar.answers.records import GOLD_COLUMNS

Decimal = Literal[".", ",", "?"]
"""A question mark: nothing shows which."""
_UNIT = r"(?P<unit>\s*[^\W\d_]\S*|\s*[%\u2030\u00b0\u20ac$\u00a3]\S*)?"
_COMMA = re.compile(rf"(?P<whole>[+-]?\d+),(?P<rest>\d+){_UNIT}")
_GROUPED = re.compile(rf"(?P<whole>[+-]?\d{{1,3}}(?:\.\d{{3}})+)(?:,(?P<rest>\d+))?{_UNIT}")
_THREE = re.compile(rf"[+-]?\d{{1,3}}[.,]\d{{3}}{_UNIT}")
"""One and a part, or a thousand."""
_POINT = re.compile(rf"[+-]?\d*\.\d+{_UNIT}")
_LISTED = re.compile(r"[+-]?\d+(?:[.]\d+)?(?:,\s*[+-]?\d+(?:[.]\d+)?){2,}|[+-]?\d+,\s+[+-]?\d+")


def sign_of(answers: Iterable[str]) -> Decimal:
    """A comma where some answers can only have that, and none has a point or is a list."""
    comma = False
    for answer in (text.strip() for text in answers):
        if _LISTED.fullmatch(answer) or (_POINT.fullmatch(answer) and not _THREE.fullmatch(answer)):
            return "."
        comma = comma or bool(_COMMA.fullmatch(answer) and not _THREE.fullmatch(answer))
    return "," if comma else "?"


def with_points(gold: Mapping[str, Any], sign: Decimal) -> Mapping[str, Any]:
    """The columns of a reference answer with a decimal point. Raises ValueError for a number that may be either.

    Of a choice the answer is one of the options, whose texts stay as they are.
    """
    if sign == "." or any(gold.get(name) for name in (*CHOICE_COLUMNS, *LETTER_COLUMNS, *NUMBER_COLUMNS)):
        return gold
    changed = {
        name: _with_point(gold[name].strip(), name, sign) for name in GOLD_COLUMNS if isinstance(gold.get(name), str)
    }
    return {**gold, **changed}


def _with_point(text: str, column: str, sign: Decimal) -> str:
    found = _COMMA.fullmatch(text)
    # In a column with decimal commas three digits after one are decimals, and after a point a thousand or decimals.
    if _THREE.fullmatch(text) and (found is None or sign == "?"):
        first = re.split("[.,]", text)[0]
        raise ValueError(
            f"{column} {text[:40]!r} may be a number of thousands or {first} and a part: write it without the "
            "separator of thousands, or say decimal: ',' or decimal: '.' in a mapping"
        )
    if sign == "?":
        return text
    if found is None and (found := _GROUPED.fullmatch(text)) is None:
        return text
    rest = f".{found['rest']}" if found["rest"] else ""
    return found["whole"].replace(".", "") + rest + (found["unit"] or "")
