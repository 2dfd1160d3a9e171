"""The answer check: is the answer of a response the reference answer? The reward 1[a = a*] of the paper.

Only the text after the first answer heading is read; without the heading there is no answer, and never "the last
number". The reference answer's type decides the rule, and what a rule can't read is wrong: nothing is mapped to the
nearest option. Only answers of type `math` reach math-verify, guarded, because on its own it ignores units and reads
prose. What this leaves out: judges, and the evaluation rules of outside benchmarks.
"""

import re
import threading
from collections.abc import Callable
from fractions import Fraction
from math import floor

from mstar.errors import InvalidDataset
from mstar.layout import split_response
from mstar.types import Answer, AnswerType, Verdict

_LONGEST = 4096
"""Characters; a longer answer is not a bare answer, and would only cost time."""
_NUMBER = re.compile(
    r"(?P<currency>[$€£¥]?)\s*"
    r"(?P<digits>[+-]?(?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,40})(?:\.[0-9]{1,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,2})?)"
    r"(?:\s*/\s*(?P<divisor>[0-9]{1,40}))?"
    r"\s*(?P<unit>(?:[%°]|[^\W\d_])[^\n]*)?"
)
_OPTION = re.compile(r"(?:\((?P<bracketed>[A-Za-z])\)|(?P<bare>[A-Z])(?:[.):]|$))\s*(?P<text>.*)", re.DOTALL)
_WRAPS = (("**", "**"), ("`", "`"), ("$", "$"), ("\\boxed{", "}"))
_LATEX_COMMAND = re.compile(r"\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]+")
_FUNCTIONS = {"sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "log", "ln", "exp", "sqrt", "pi"}
_VARIABLE = re.compile(r"^\s*[A-Za-z]\w*\s*=\s*")


def check(text: str, answer: Answer) -> Verdict:
    """Compare a response with a reference answer.

    Raises InvalidDataset when the reference answer does not have its own type, and RuntimeError when a `math` answer is
    checked outside a main thread.
    """
    bare = split_response(text).answer
    if bare is None:
        return Verdict(correct=False, reason="no-answer-heading")
    if not bare:
        return Verdict(correct=False, extracted="", reason="empty-answer")
    if len(bare) > _LONGEST:
        return Verdict(correct=False, extracted=bare[:80], reason="answer-too-long")
    bare = _unwrapped(bare)
    reason = _RULES[answer.type](bare, answer)
    return Verdict(correct=reason == "equal", extracted=bare, reason=f"{answer.type.value}-{reason}")


def _choice(bare: str, answer: Answer) -> str:
    """The option letter, `(B)`, `B.`, either with its own option text, or exactly one option's text."""
    letters = [chr(ord("A") + place) for place in range(len(answer.choices))]
    gold = answer.value.strip("() .").upper()
    if len(gold) != 1 or (letters and gold not in letters):
        raise InvalidDataset(f"answer.value {answer.value!r} is not the letter of an option", field="answer.value")
    options = dict(zip(letters, map(_plain, answer.choices), strict=True))
    match = _OPTION.fullmatch(bare)
    letter = (match["bracketed"] or match["bare"]).upper() if match else None
    if match and letter and (letter in options or not options):
        said = _plain(match["text"])
        return _equal(letter == gold) if said in ("", options.get(letter)) else "unreadable"
    named = [letter for letter, option in options.items() if option == _plain(bare)]
    return _equal(named[0] == gold) if len(named) == 1 else "unreadable"


def _integer(bare: str, answer: Answer) -> str:
    """Equal value; `61.0` is 61, and 61.4 is not."""
    return _number(bare, answer, lambda said, gold: said == gold)


def _float(bare: str, answer: Answer) -> str:
    """Equal value after rounding both, halves up, to `precision` decimals; exactly equal without a precision."""
    places = answer.precision
    return _number(bare, answer, lambda said, gold: _rounded(said, places) == _rounded(gold, places))


def _number(bare: str, answer: Answer, same: Callable[[Fraction, Fraction], bool]) -> str:
    gold, said = _read_number(answer.value), _read_number(bare)
    if gold is None or (answer.type is AnswerType.INTEGER and gold[0].denominator != 1):
        article = "an integer" if answer.type is AnswerType.INTEGER else "a number"
        raise InvalidDataset(f"answer.value {answer.value!r} is not {article}", field="answer.value")
    if said is None:
        return "unreadable"
    unit = (answer.unit or gold[1]).removesuffix(".")
    gold_value, _ = _measured(gold, unit)
    value, said_unit = _measured(said, unit)
    return _equal(same(value, gold_value)) if said_unit in ("", unit) else "unit-different"


def _list(bare: str, answer: Answer) -> str:
    """The same elements in the same order: numbers by value, all else as text."""
    said, gold = _elements(bare), _elements(answer.value)
    if any(not element for element in said):
        return "unreadable"
    if len(said) != len(gold):
        return "length-different"
    return _equal(all(_same_element(s, g, answer.precision) for s, g in zip(said, gold, strict=True)))


def _text(bare: str, answer: Answer) -> str:
    return _equal(_plain(bare) == _plain(answer.value))


def _math(bare: str, answer: Answer) -> str:
    """Mathematically equal, by math-verify, for a bare expression in the reference answer's own words and unit."""
    gold = _unwrapped(answer.value)
    if answer.unit:
        bare, gold = (text.removesuffix(answer.unit.removesuffix(".")).rstrip() for text in (bare, gold))
    if ("=" in bare) != ("=" in gold):
        bare, gold = _VARIABLE.sub("", bare), _VARIABLE.sub("", gold)
    if bare.split() == gold.split():
        return "equal"
    if _words(bare) != _words(gold) or ("=" in bare) != ("=" in gold) or "$" in bare:
        return "unreadable"
    return _equal(_verified(gold, bare))


_RULES: dict[AnswerType, Callable[[str, Answer], str]] = {
    AnswerType.CHOICE: _choice,
    AnswerType.INTEGER: _integer,
    AnswerType.FLOAT: _float,
    AnswerType.LIST: _list,
    AnswerType.TEXT: _text,
    AnswerType.MATH: _math,
}


def _verified(gold: str, said: str) -> bool:
    r"""Both sides stand between dollar signs: bare, math-verify reads `2\sqrt{3}` as 2 and a list as its last number.

    Its time limits use SIGALRM, which Python delivers to the main thread of a process only.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("check answers of type math in the main thread of a process: their time limit needs it")
    import math_verify

    expressions = [math_verify.parse(f"${text}$") for text in (gold, said)]
    return all(expressions) and bool(math_verify.verify(*expressions))


def _equal(equal: bool) -> str:
    return "equal" if equal else "different"


def _plain(text: str) -> str:
    """Text as it is compared: case folded, white space joined, without wrapping quotes or a final full stop."""
    text = " ".join(text.split()).removesuffix(".").strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return text.casefold()


def _unwrapped(text: str) -> str:
    """Without a final full stop and the marks that models put around an answer: bold, code, dollars or a LaTeX box."""
    text = text.strip().removesuffix(".").replace("\N{MINUS SIGN}", "-")
    for start, end in _WRAPS:
        inner = text[len(start) : -len(end)].strip()
        if inner and text == f"{start}{text[len(start) : -len(end)]}{end}" and start not in inner:
            text = inner
    return text


def _read_number(text: str) -> tuple[Fraction, str] | None:
    """A plain number and the unit beside it: `1,200`, `-3.5 cm`, `$12`, `1/2`, `50%`; None for anything else."""
    match = _NUMBER.fullmatch(_unwrapped(text))
    if match is None or (match["divisor"] and int(match["divisor"]) == 0) or (match["currency"] and match["unit"]):
        return None
    value = Fraction(match["digits"].replace(",", "")) / int(match["divisor"] or 1)
    return value, match["currency"] or (match["unit"] or "").strip()


def _measured(number: tuple[Fraction, str], unit: str) -> tuple[Fraction, str]:
    """Value and unit; a percent sign means hundredths unless percent is the unit asked for."""
    value, found = number
    return (value / 100, "") if found == "%" != unit else (value, found)


def _rounded(value: Fraction, precision: int | None) -> Fraction:
    if precision is None:
        return value
    scale = 10**precision
    return Fraction(floor(abs(value) * scale + Fraction(1, 2)), scale) * (-1 if value < 0 else 1)


def _elements(text: str) -> list[str]:
    """Elements of `[1, 2]`, `(1, 2)` or `1, 2`, in plain form."""
    text = _unwrapped(text)
    if text[:1] + text[-1:] in ("[]", "()", "{}"):
        text = text[1:-1]
    return [_plain(element) for element in text.split(",")] if text.strip() else []


def _same_element(said: str, gold: str, precision: int | None) -> bool:
    numbers = _read_number(said), _read_number(gold)
    if numbers[0] and numbers[1] and numbers[0][1] == numbers[1][1]:
        return _rounded(numbers[0][0], precision) == _rounded(numbers[1][0], precision)
    return said == gold


def _words(text: str) -> set[str]:
    """Variables, units and prose beside LaTeX commands and functions: math-verify would drop or multiply them out."""
    bare = _LATEX_COMMAND.sub(" ", re.sub(r"\\(?:text|mathrm)\b", "", text))
    return set(_WORD.findall(bare)) - _FUNCTIONS
