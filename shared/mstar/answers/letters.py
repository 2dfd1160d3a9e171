r"""Writes formulas in one form before they are compared: products of letters, columns of a vector, and both signs of ±.

`3b^2a` and `3\,a\,b^{2}` are `3ab^2`; `\langle 3, -2 \rangle` and a matrix of one column are `(3, -2)`. What this
leaves out: whether two formulas are equal.
"""

import re

from mstar.answers.units import is_known, is_variable

_COMMAND = re.compile(r"\\[A-Za-z]+")
_RUN = re.compile(r"(?<![A-Za-z\\])[A-Za-z]+")
_ALGEBRA = re.compile(r"[\dA-Za-z+*/^(){}=.\s·⋅-]+")
_PRODUCT = re.compile(r"(?<=\d)[a-z]{2,3}(?![A-Za-z])")
_TIMES = re.compile(r"\s*(?:\\cdot(?![A-Za-z])|[*·⋅])\s*(?=[a-z\\(])")
_WORDS = {
    "or", "and", "in", "is", "if", "to", "of", "by", "at", "on", "no", "sin", "cos", "tan", "log", "exp", "pi", "ln",
    "am", "pm", "th", "st", "nd", "rd", "bc", "ad", "vs",
}  # fmt: skip
_CELL = r"(?:(?!\\\\|\\end|&).)+"
_COLUMN = re.compile(rf"\\begin\{{([pb]?)matrix\}}\s*({_CELL}(?:\\\\{_CELL})+)(?:\\\\)?\s*\\end\{{\1matrix\}}")
_ANGLED = re.compile(r"\\langle\s*([^<>]+?,[^<>]+?)\s*\\rangle|\A\s*<\s*([^<>=]+,[^<>=]+?)\s*>\s*\Z")


def letters_apart(said: str, gold: str) -> tuple[str, str]:
    """Both with white space between the letters of products, where the reference has such letters and no words."""
    if not (_multiplies(gold) and _multiplies(said)) or not re.search(r"[\d^+*-]", gold):
        return said, gold
    return _apart(said), _apart(gold)


def products_apart(text: str) -> str:
    """`2a b + 3` of `2ab + 3`, whose letters are not a unit or half of a day."""
    return _PRODUCT.sub(lambda run: " ".join(run[0]) if _is_product(run[0]) else run[0], text)


def vectors_in_brackets(text: str) -> str:
    """A column, and a vector in angle brackets, as what stands in round ones."""
    text = _COLUMN.sub(lambda found: f"({', '.join(part.strip() for part in found[2].split(chr(92) * 2))})", text)
    return _ANGLED.sub(lambda found: f"({found[1] or found[2]})", text)


def both_signs(text: str) -> list[str]:
    """A formula with the one sign of its ± and with the other; empty where it has none or several."""
    return [text.replace("±", sign) for sign in "+-"] if text.count("±") == 1 else []


def _multiplies(text: str) -> bool:
    """Whether all that is written in letters are products of variables."""
    without = _COMMAND.sub(" ", text)
    runs = _RUN.findall(without)
    return _ALGEBRA.fullmatch(without) is not None and bool(runs) and all(map(_is_product, runs))


def _is_product(run: str) -> bool:
    if len(run) == 1:
        return True
    if len(run) > 4 or not run.islower() or run in _WORDS:
        return False
    return is_variable(run) if len(run) == 2 else not is_known(run)


def _apart(text: str) -> str:
    # With the sign between them: at the end, math-verify takes a single letter for a unit.
    text = re.sub(r"(?<![A-Za-z\\])[a-z]{2,4}(?![A-Za-z])", lambda run: " ".join(run[0]), _TIMES.sub(" ", text))
    return re.sub(r"(?<=[a-z])\s+(?=[a-z])", r" \\cdot ", text)
