r"""Limits what math-verify is given, since it takes seconds on nonsense and reads parts of what it cannot read whole.

Every bound is that of the reference answer or a fixed one, whichever is wider: a reference is trusted, and a response
that equals it is about as long and as deep. What this leaves out: whether the two are equal.
"""

import math
import re
from collections import Counter
from collections.abc import Callable

_ROOM = 100
"""Characters that an expression may have beyond four times the reference's: `\\dfrac{n^{2} + n}{2}` for `n(n+1)/2`."""
_ROOM_FOR_WORDS = 400
"""Beyond eight times, before sentence, unit and work are taken off: their readers take quadratic time."""
_ROOM_FOR_BRACKETS = 10
"""Beyond half of the reference's characters, each of which may be a power that the response has in braces."""
_OPEN, _CLOSED = "([{", ")]}"
_SIGNS = re.compile(r"(?:[-+]\s*)+")
_TWO_POWERS = re.compile(r"\^\s*[^\s{}\\]\s*\^")
"""`x^2^2` is not LaTeX."""
_TOWER = re.compile(r"\^\s*\{[^{}^]*\^")
_POWER = re.compile(r"[\d)}]\s*\^\s*(?:\{\s*)?(\d+)")
"""Of a number, or of what stands in brackets; a letter's power costs nothing."""
_PART_ONLY = re.compile(r"[#&'@`?\"\n]|\\\\|\\boxed|\\(?:[dt]?binom|int|sum|prod|lim|det)(?![A-Za-z])")
"""After or before these math-verify reads on without a word, and what they would have it work out is not an answer."""


def is_longer(said: str, gold: str) -> bool:
    """Whether the response is far longer than anything that could be the reference."""
    return len(said) > 8 * len(gold) + _ROOM_FOR_WORDS


def may_be_asked(said: str, gold: str) -> bool:
    """Whether the response could be the reference in other words, and is read in little time."""
    return (
        len(said) <= 4 * len(gold) + _ROOM
        and sum(map(said.count, _OPEN)) <= len(gold) // 2 + _ROOM_FOR_BRACKETS
        and _no_more_parts(said, gold)
        and all(measure(said) <= max(most, measure(gold)) for measure, most in _MEASURES)
    )


def _no_more_parts(said: str, gold: str) -> bool:
    allowed = Counter(_PART_ONLY.findall(gold))
    return all(found <= allowed[part] for part, found in Counter(_PART_ONLY.findall(said)).items())


def _depth(text: str) -> int:
    """How many brackets are open at once; more than any, where not all of them are closed by as many."""
    deepest = depth = 0
    for sign in text:
        depth += (sign in _OPEN) - (sign in _CLOSED)
        deepest = max(deepest, depth)
    return deepest if depth == 0 else len(text)


def _signs_in_a_row(text: str) -> int:
    return max((len(re.sub(r"\s", "", run)) for run in _SIGNS.findall(text)), default=0)


def _power(text: str) -> int:
    """The largest power that its numbers may be raised to: `(9^{99})^{99}` has 9801."""
    return math.prod(int(power[:9]) or 1 for power in _POWER.findall(text))


def _factorial(text: str) -> int:
    """The largest number before a `!`."""
    return max((int(digits[:9]) for digits in re.findall(r"(?<!\d)(\d+)\s*!", text)), default=0)


_MEASURES: tuple[tuple[Callable[[str], int], int], ...] = (
    (_depth, 6),
    (_signs_in_a_row, 2),
    (lambda text: len(_TWO_POWERS.findall(text)), 0),
    (lambda text: len(_TOWER.findall(text)), 0),
    (_power, 10_000),
    (_factorial, 100),
)
"""How large an expression is, and how large it may be where the reference is smaller."""
