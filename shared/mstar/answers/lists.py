r"""Compares lists: the same elements in the same order, nested alike. Numbers count by value, all else as text.

A list may stand in any brackets or in none: `[2, 5]`, `(2, 5)`, `\{2, 5\}`, `2 and 5`. Where the kind of bracket has a
meaning the answer is not a list but of the type math: an interval, a point.
"""

import json
import re

from mstar.answers.marks import bare, first_answer, plain, without_latex_text
from mstar.answers.numbers import read_number, rounded
from mstar.answers.rule import AnswerRule
from mstar.answers.units import same_unit
from mstar.types import Answer

_PAIRS = {"[": "]", "(": ")", "{": "}"}
_SQUARE = str.maketrans("({)}", "[[]]")
_ON_LINE = re.compile(r"(?:[-*•]|(?P<number>\d{1,2})[.)])\s+(?P<element>[^,]+?)[.,;]?")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_LISTED = re.compile(r"\s*(?:[;&<>]|→|->)\s*|(?:\s*,)?\s+and\s+")
_SPACED_OUT = re.compile(r"\d,\d{3}, ")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_A_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def compare_lists(said: str, answer: Answer, rule: AnswerRule) -> str:
    """`equal`, `different`, `length-different` or `unreadable`."""
    said = in_a_row(said)
    one, gold = _elements(first_answer(said)), _elements(answer.value)
    if one is not None and gold is not None and len(one) != len(gold) and _LISTED.search(said):
        one = _elements(_LISTED.sub(", ", first_answer(said)))
    if one is not None and gold is not None and len(one) > len(gold) and _SPACED_OUT.search(said):
        # `[1,000, 2,000]`: with a space after each comma between elements, the others stand in numbers.
        one = _elements(_THOUSANDS.sub("", first_answer(said)))
    if one is not None and gold is not None and len(one) == 1 and len(gold) > 1:
        # `[1 2 3]`, as numpy prints a list, is one element to a reader of commas.
        one = _spaced_numbers(str(one[0])) or one
    if one is None or gold is None:
        return "unreadable"
    if len(one) != len(gold):
        return "length-different"
    return "equal" if _same(one, gold, answer.precision, rule) else "different"


def in_a_row(text: str) -> str:
    """`red, green` of a list whose elements stand on lines, each behind a bullet or its own number."""
    found = [_ON_LINE.fullmatch(line.strip()) for line in text.strip().split("\n") if line.strip()]
    lines = [line for line in found if line is not None]
    numbers = [line["number"] for line in lines if line["number"]]
    counted = numbers in ([], [str(place) for place in range(1, len(lines) + 1)])
    return ", ".join(line["element"] for line in lines) if 1 < len(lines) == len(found) and counted else text


def swapped(value: str) -> str | None:
    """A list of two texts, or of two years, in the other order; None for any other list, of numbers as well."""
    gold = _elements(value)
    if gold is None or len(gold) != 2 or not all(isinstance(one, str | int) for one in gold):
        return None
    numbers = any(_NUMBER.search(str(one)) for one in gold) and not all(_A_YEAR.fullmatch(str(one)) for one in gold)
    return None if numbers else json.dumps(gold[::-1], ensure_ascii=False)


def _spaced_numbers(text: str) -> list[object]:
    """Elements of `1 2 3`; empty for anything else."""
    parts = text.split()
    return list(parts) if all(_NUMBER.fullmatch(part) for part in parts) else []


def _elements(text: str) -> list[object] | None:
    """Elements of `[1, 2]`, `(1, 2)` or `1, 2`; lists inside stay lists. None for a hole, and for wrong brackets."""
    text = bare(without_latex_text(bare(text)).replace("\\{", "{").replace("\\}", "}"))
    parts = _parts(text)
    if parts is None:
        return None
    if len(parts) == 1 and text[:1] in _PAIRS and text[-1] == _PAIRS[text[0]]:
        text = text[1:-1]
        if (found := _nested(text)) is not None:
            return found
    elif all(part[:1] in _PAIRS for part in parts):
        # Lists side by side, `(1, 2), (3, 4)`, without brackets around all.
        return _nested(text)
    items = [plain(part) for part in text.split(",")] if text.strip() else []
    if len(items) > 1:
        items[-1] = items[-1].removeprefix("and ")
    return list(items) if all(items) and not any(sign in text for sign in "[]") else None


def _nested(text: str) -> list[object] | None:
    """Elements between commas, with the lists among them; None for what is not JSON but for its quotes and brackets."""
    try:
        # JSON and not ast.literal_eval: sampled text never reaches Python's parser.
        return list(json.loads("[" + text.replace("'", '"').translate(_SQUARE) + "]"))
    except (ValueError, RecursionError):
        return None


def _parts(text: str) -> list[str] | None:
    """What stands between the commas that are in no bracket. None where a bracket is not closed by one of its kind."""
    parts = [""]
    open_: list[str] = []
    # Brackets inside a quoted text are its own.
    for sign in _QUOTED.sub(lambda found: "_" * len(found[0]), text):
        if sign == "," and not open_:
            parts.append("")
            continue
        if sign in _PAIRS:
            open_.append(_PAIRS[sign])
        elif sign in _PAIRS.values() and (not open_ or open_.pop() != sign):
            return None
        parts[-1] += sign
    return None if open_ else [part.strip() for part in parts]


def _same(said: object, gold: object, precision: int | None, rule: AnswerRule) -> bool:
    if isinstance(said, list) and isinstance(gold, list):
        return len(said) == len(gold) and all(_same(s, g, precision, rule) for s, g in zip(said, gold, strict=True))
    if isinstance(said, list) or isinstance(gold, list):
        return False
    one, other = read_number(str(said), rule), read_number(str(gold), rule)
    if one is None or other is None:
        return plain(str(said)) == plain(str(gold))
    rounds = precision is not None and rounded(one.value, precision) == rounded(other.value, precision)
    return (one.value == other.value or rounds) and (not one.unit or same_unit(one.unit, other.unit))
