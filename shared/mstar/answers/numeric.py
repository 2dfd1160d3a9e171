r"""Works out a formula of numbers, fractions, roots, powers, pi and functions, by a small parser of its own.

Only what can be read in one way: nothing of `1/2\pi`, `\log 5`, `2^10` or `1\frac{1}{2}`. What this leaves out:
letters, and whether two formulas are equal (`maths`).
"""

import cmath
import math
import re
from collections.abc import Callable, Iterator
from functools import lru_cache

_LONGEST = 200
"""Characters."""
_DEEPEST = 20
_LARGEST = 1e12
_TOKEN = re.compile(r"\s*(?:(\d{1,15}(?:\.\d{1,15})?)|(\\[A-Za-z]+|[-+*/^(){}]))")
_SHORT_FRACTION = re.compile(r"\\frac\s*(\d)\s*(\d)(?!\d)")
_SHORT_ROOT = re.compile(r"\\sqrt\s*(\d)(?![\d.])")
_TIMES = {"*", "\\cdot", "\\times"}
_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "\\sin": cmath.sin, "\\cos": cmath.cos, "\\tan": cmath.tan, "\\ln": cmath.log,
}  # fmt: skip
_BEGINS = {"(", "{", "\\frac", "\\sqrt", "\\pi", *_FUNCTIONS}


class _Unread(Exception):
    """Raised where a formula is none that can be read in one way only. It never leaves this module."""


@lru_cache(maxsize=4096)
def value_of(text: str) -> complex | None:
    """The formula's value; None for what is not worked out here."""
    try:
        return _Formula(tuple(_tokens(text))).value()
    except (_Unread, ArithmeticError, ValueError):
        return None


def _tokens(text: str) -> Iterator[str]:
    """Numbers, commands and signs."""
    if len(text) > _LONGEST:
        raise _Unread
    text = re.sub(r"\\[dt]frac(?![A-Za-z])", r"\\frac", text).strip()
    text = _SHORT_ROOT.sub(r"\\sqrt{\1}", _SHORT_FRACTION.sub(r"\\frac{\1}{\2}", text))
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise _Unread
        yield found[1] or found[2]
        place = found.end()


class _Formula:
    """One formula, worked out from left to right."""

    def __init__(self, tokens: tuple[str, ...]) -> None:
        self._tokens, self._place, self._depth = tokens, 0, 0

    def value(self) -> complex:
        value = self._sum()
        if self._next():
            raise _Unread
        return value

    def _next(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _take(self, *wanted: str) -> str:
        part = self._next()
        if not part or (wanted and part not in wanted):
            raise _Unread
        self._place += 1
        return part

    def _sum(self) -> complex:
        value = self._product()
        while self._next() in ("+", "-"):
            value = value + self._product() if self._take() == "+" else value - self._product()
        return value

    def _product(self) -> complex:
        sign = -1 if self._next() in ("+", "-") and self._take() == "-" else 1
        value, divided = self._power(), False
        while part := self._next():
            if part == "/":
                self._take()
                value, divided = value / self._power(), True
            elif part in _TIMES:
                self._take()
                value *= self._power()
            elif part in _BEGINS:
                # `1/2\pi` and `2\frac{1}{3}` are read in two ways.
                if divided or (part == "\\frac" and self._tokens[self._place - 1][0].isdigit()):
                    raise _Unread
                value *= self._power()
            else:
                break
        return sign * value

    def _power(self) -> complex:
        base = self._part()
        if self._next() != "^":
            return base
        self._take()
        # `2^10` is 2 to the first and a 0 to LaTeX.
        if self._next() != "{" and (len(self._next()) != 1 or not self._next().isdigit()):
            raise _Unread
        power = self._part()
        if self._next() == "^" or abs(power) > 64 or (abs(base) > 1 and abs(power) * math.log(abs(base)) > 27):
            raise _Unread
        return complex(base) ** power

    def _part(self) -> complex:
        part = self._take()
        if part[0].isdigit():
            return self._bounded(float(part))
        if part in ("(", "{"):
            return self._inside(")" if part == "(" else "}")
        if part == "\\frac":
            return self._braced() / self._braced()
        if part == "\\sqrt":
            return cmath.sqrt(self._braced())
        if part in _FUNCTIONS:
            return self._applied(_FUNCTIONS[part])
        if part != "\\pi":
            raise _Unread
        return math.pi

    def _applied(self, function: Callable[[complex], complex]) -> complex:
        """Of what stands in brackets, or of one number behind which nothing is multiplied."""
        if self._next() in ("(", "{"):
            return self._bounded(function(self._part()))
        value = self._part()
        if self._next() not in ("", "+", "-", ")", "}"):
            raise _Unread
        return self._bounded(function(value))

    def _braced(self) -> complex:
        self._take("{")
        return self._inside("}")

    def _inside(self, closing: str) -> complex:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _Unread
        value = self._sum()
        self._take(closing)
        self._depth -= 1
        return self._bounded(value)

    def _bounded(self, value: complex) -> complex:
        if not abs(value) < _LARGEST:
            raise _Unread
        return value
