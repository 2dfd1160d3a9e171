r"""Mathematical equality by math-verify, behind guards.

On its own math-verify ignores units, reads the last number of a list, rounds, and does any arithmetic. So both sides
must have the same words, signs and brackets before it is asked, exact numbers are compared as fractions, and `34+27` is
no answer to 61.
"""

import re
import threading
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from mstar.answers.bounds import is_longer, may_be_asked
from mstar.answers.intervals import as_interval, chained, rising, unknown_first
from mstar.answers.letters import both_signs, letters_apart, vectors_in_brackets
from mstar.answers.marks import bare, out_of_dollars, without_latex_text
from mstar.answers.numbers import Number, read_number, result_of
from mstar.answers.rule import AnswerRule
from mstar.answers.scripts import fractions_written_out, powers_written_out
from mstar.answers.units import is_percent, without_same_unit, without_unit
from mstar.types import Answer

_LATEX_COMMAND = re.compile(r"\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]+")
_FUNCTIONS = {"sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "log", "ln", "exp", "sqrt", "pi"}
_VARIABLE = re.compile(
    r"^\s*(?:[A-Za-z]\w*|[A-Za-z]_\{\w\}|[A-Za-z](?:'{0,2}|\^\{?-1\}?)\([^()=]{1,20}\)|[A-Za-z]'{1,2}|\\(?:theta|alpha|beta|gamma|phi|lambda|omega|angle\s*[A-Z]{1,3}))\s*=\s*"
)
_ROOT = re.compile(r"√\s*(?:\{([^{}]*)\}|(\d+|[A-Za-z]))")
_CALLED_ROOT = re.compile(r"(?<![A-Za-z\\])sqrt\(([^()]*)\)")
_PI = re.compile(r"(?<![A-Za-z\\])pi(?![A-Za-z])")
_TIMES = re.compile(r"(?<=[\d}])\s*(?:\\cdot|\\times|[*×])\s*(?=\\sqrt|\\pi|[A-Za-z])")
"""Between a number and what is not a number, where nothing need be written."""
_CALLED = re.compile(r"([A-Za-z])(?:_\{?\w\}?)?\s*=")
_MEMBER = re.compile(r"^\s*[A-Za-z]\s*(?:\\in|∈)\s*(?=\\?\{)")
_EACH = re.compile(r"[A-Za-z]\s*=[^=,]+(?:,\s*[A-Za-z]\s*=[^=,]+)+")
"""`x = 1, x = 4`; of two unknowns each keeps its name in what is compared."""
_LOW = re.compile(r"_\{?\w\}?")
_EITHER = re.compile(r"\s*(?:[A-Za-z]\s*=\s*)?±\s*([^\s,±].*)")
_OR = re.compile(r"\s*(?:,\s*)?\b(?:or|and)\b\s*")
_NAMED = re.compile(r"(?<![A-Za-z\\])(sin|cos|tan|cot|sec|csc|log|ln)(?![A-Za-z])")
_GREEK = {"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "θ": "theta", "λ": "lambda", "φ": "phi", "ω": "omega"}
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s*°")
_IN_RADIANS = r"(\\frac{\1\\pi}{180})"
_CASES = re.compile(r"\A\s*(?:\\left\\\{)?\s*\\begin\{cases\}(.*)\\end\{cases\}(?:\\right\.)?\s*\Z", re.DOTALL)
_NAMES_OF_POINT = re.compile(r"\A\(\s*[A-Za-z](?:\s*,\s*[A-Za-z])+\s*\)\s*=\s*(?=\()")
_ROUNDED = re.compile(r"\s*(?:≈|\\approx(?![A-Za-z]))\s*-?\d+(?:\.\d+)?\s*\Z")
"""After an exact value: `3\\sqrt{5} ≈ 6.71`."""
_DERIVATIVE = re.compile(r"\A\s*\\d?frac\{dy\}\{dx\}\s*(?==)")
_EXPONENTIAL = re.compile(r"\\?(?<![A-Za-z])exp\s*\(([^()]+)\)")
_HIGHER_ROOT = re.compile(r"\\sqrt\[(\d)\]\{(\d+)\}")
_PART_POWER = re.compile(r"\^\s*\{\\[dt]?frac\{(\d+)\}\{(\d+)\}\}")
_MATRIX = re.compile(r"\\(begin|end)\{b(?=matrix\})")
_ENDLESS = re.compile(r"(?<![A-Za-z\\])infinity(?![A-Za-z])", re.IGNORECASE)
_PLUS_ENDLESS = re.compile(r"(?<![\w)}])\+\s*(?=\\infty)")
_POINT_NAMED = re.compile(r"^(?:(?:[Tt]he\s+)?[Pp]oint\s+)?(?:[A-Z]\s*)?(?=\()")
_SOLVED = re.compile(
    r"(?:the\s+)?(?:solutions?|equation|function|inequality|inverse)\s+(?:is|are)\s*:?\s+(?=[^=<>≤≥]{1,20}[=<>≤≥])",
    re.IGNORECASE,
)
_COMPARED = re.compile(r"(?<=^[A-Za-z])\s+is\s+(greater|less)\s+than\s+(or\s+equal\s+to\s+)?", re.IGNORECASE)
_IN_SIGNS = {("greater", False): ">", ("greater", True): "≥", ("less", False): "<", ("less", True): "≤"}
_CALLED_SO = re.compile(
    r"^(?:the\s+)?(?:simplified\s+|factored\s+)?(?:expression|form|derivative)\s+is\s*:?\s+(?=[^=<>≤≥]+$)",
    re.IGNORECASE,
)
_TUPLE = re.compile(r"([(\[])([^()\[\]]+)([)\]])")
_FUNCTION = re.compile(r"\s*(?:y|(?P<name>[A-Za-xz])\s*\(\s*x\s*\))\s*=\s*(?=[^=]+$)")
_FRACTION_OF = re.compile(r"(?<![\w/)}.^])(\d+)\s*/\s*(\d+)\s+(?=[a-z](?![A-Za-z]))")
"""`2/3 x` is two thirds of x; math-verify would divide by x as well."""
_EACH_IN_DOLLARS = re.compile(r"\s*\$[^$\d][^$]*\$(?:\s*,?\s*(?:or|and)\s+\$[^$\d][^$]*\$)+\s*\.?\s*")
"""`$x<1$ or $x>2$`; `$5 or $6` are two prices."""
_SEMICOLONS = re.compile(r"([(\[])([^;()\[\]]+(?:;[^;()\[\]]+)+)([)\]])")
_SIGNS = "%°<>≤≥≠±:;!|"
_ARITHMETIC = re.compile(r"(?:[\d.)}\]]|\\pi)\s*(?:[+*×÷]|\\times|\\cdot|\\div|\^|-)\s*[\d.({\[\\]")
_RELATIONS = {
    "\\leq": "≤", "\\le": "≤", "\\geq": "≥", "\\ge": "≥", "\\neq": "≠", "\\ne": "≠", "\\pm": "±", "\\lt": "<",
    "\\gt": ">",
}  # fmt: skip


def compare_math(said: str, answer: Answer, rule: AnswerRule) -> str:
    """`equal`, `different` or `unreadable`."""
    if is_longer(said, answer.value):
        return "unreadable"
    said, gold = _prepared(_without_sentence(said), answer.unit), _prepared(answer.value, answer.unit)
    if rule.unasked_units and not answer.unit and not _WORD.search(_LATEX_COMMAND.sub("", gold)):
        said = without_unit(said)
    said, gold = without_same_unit(said, gold)
    said = _ROUNDED.sub("", said if "=" in gold else result_of(said))
    said, gold = unknown_first(said), unknown_first(gold)
    said, gold = _as_point(said, gold), _as_point(gold, said)
    said, gold = chained(said), chained(gold)
    said, gold = rising(as_interval(said, gold)), rising(as_interval(gold, said))
    said, gold = letters_apart(*_one_function(said, gold))
    # Only where one side has it: `x = 3` must not equal `y = 3`.
    if rule.assignments and ("=" in said) != ("=" in gold) and not _several(said) and not _several(gold):
        said, gold = _VARIABLE.sub("", said), _VARIABLE.sub("", gold)
    if _compact(said) == _compact(gold) or _same_elements(said, gold, rule):
        return "equal"
    # Words that are a number, and no sentence: `five sixths`.
    if (
        "=" not in said + gold
        and bare(said) == bare(said, sentences=False)
        and (found := _as_numbers(said, gold, rule))
    ):
        return found
    solutions = _solutions(gold)
    if solutions is not None and (told := _solutions(said) or _listed(said)) is not None:
        same = _names(said) == _names(gold) or not _names(said) or not _names(gold)
        return "equal" if same and _same_solutions(told, solutions, rule) else "different"
    if signed := both_signs(_VARIABLE.sub("", gold)):
        told = both_signs(_VARIABLE.sub("", said)) or _listed(said) or []
        same = _names(said) == _names(gold) or not _names(said) or not _names(gold)
        if same and _same_signed(told, signed):
            return "equal"
    if _shape(said) != _shape(gold) or "$" in said:
        return "unreadable"
    # With a letter in it a sum is an expression: `1 + 2x` is `2x + 1`.
    if _ARITHMETIC.search(said) and not _ARITHMETIC.search(gold) and not re.search(r"(?<![A-Za-z\\])[a-z]", gold):
        return "unreadable"
    # As fractions: math-verify compares numbers within a tolerance.
    if found := _as_numbers(said, gold, rule):
        return found
    if "." in said + gold and _decimals(said) != _decimals(gold):
        # As fractions they are exact: a rounded number is not the expression it came from.
        said, gold = _in_fractions(said), _in_fractions(gold)
    if not may_be_asked(said, gold):
        return "unreadable"
    return "equal" if _verified(gold, said) else "different"


def _without_sentence(said: str) -> str:
    """`(3, 2)` of `The point is (3, 2)`; of a single value a sentence is not an expression."""
    if solved := _SOLVED.match(said.strip()):
        return said.strip()[solved.end() :]
    said = _CALLED_SO.sub("", said.strip(), count=1)
    led = _POINT_NAMED.sub("", bare(said))
    return led if _TUPLE.fullmatch(led.replace("\\left", "").replace("\\right", "")) else said


def _as_point(text: str, other: str) -> str:
    """`x = 3, y = 2` as `(3, 2)`, where the other side is a point and the names are in the order of the alphabet."""
    if not _EACH.fullmatch(text.strip()) or not (other[:1] == "(" and other[-1:] == ")"):
        return text
    parts = [part.split("=") for part in text.split(",")]
    names = [name.strip() for name, _ in parts]
    in_order = sorted(set(names)) == names
    return f"({', '.join(value.strip() for _, value in parts)})" if in_order else text


def _one_function(said: str, gold: str) -> tuple[str, str]:
    """Both without the name of what is a function of x, where one says `y =` and the other `f(x) =`."""
    told, asked = _FUNCTION.match(said), _FUNCTION.match(gold)
    if told is None or asked is None or (told["name"] is None) == (asked["name"] is None):
        return said, gold
    return said[told.end() :], gold[asked.end() :]


def _same_elements(said: str, gold: str, rule: AnswerRule) -> bool:
    """Equal coordinates or ends of an interval, one by one, in the same brackets.

    `2, 5` without any is `[2, 5]`, which may be a list as well; never `(2, 5)`.
    """
    asked = _TUPLE.fullmatch(gold)
    if asked is None:
        return False
    told = _TUPLE.fullmatch(said) or (_TUPLE.fullmatch(f"[{_OR.sub(', ', said)}]") if gold[0] == "[" else None)
    if told is None or (told[1], told[3]) != (asked[1], asked[3]):
        return False
    one, other = (found[2].split(",") for found in (told, asked))
    return len(one) == len(other) > 1 and all(_same_value(*pair, rule) for pair in zip(one, other, strict=True))


def _same_signed(said: list[str], gold: list[str]) -> bool:
    """Both values of a formula with ±, in any order."""
    if len(said) != 2:
        return False
    return any(all(map(_same_formula, order, gold)) for order in (said, said[::-1]))


def _same_formula(said: str, gold: str) -> bool:
    return _compact(said) == _compact(gold) or (
        _shape(said) == _shape(gold)
        and _decimals(said) == _decimals(gold)
        and may_be_asked(said, gold)
        and _verified(gold, said)
    )


def _compact(text: str) -> str:
    """Without white space, but for that between two letters or digits."""
    return re.sub(r"(?<![A-Za-z0-9])\s+|\s+(?![A-Za-z0-9])", "", text)


def _solutions(text: str) -> list[str] | None:
    r"""Parts of `x = 2 or x = -3`, `\pm 5`, `\{1, 2\}` and `x \in \{1, 2\}`; None for what names no several values."""
    text = _MEMBER.sub("", text)
    braces = text.startswith(("\\{", "{")) and text.endswith("}")
    if text.count("±") == 1 and (sign := _EITHER.fullmatch(text)):
        return [sign[1], f"-{sign[1]}"]
    if _EACH.fullmatch(text):
        return _listed(text)
    if braces:
        return _listed(text.removeprefix("\\").removeprefix("{").removesuffix("}").removesuffix("\\"))
    return _listed(text) if _OR.search(text) else None


def _several(text: str) -> bool:
    """Whether it is several values of one unknown, `x = 1, x = 4`."""
    return _EACH.fullmatch(text.strip()) is not None and len(_names(text)) == 1


def _names(text: str) -> set[str]:
    """What several values are called: x of `x_1 = 2 or x_2 = 3`."""
    return set(_CALLED.findall(text))


def _listed(text: str) -> list[str] | None:
    """Elements between commas, `or` and `and`, without `x =`; None for one in brackets, and for a single one."""
    parts = [part.strip() for part in _OR.sub(",", text).split(",")]
    if len({_LOW.sub("", found[0].split("=")[0]).strip() for part in parts if (found := _VARIABLE.match(part))}) < 2:
        parts = [_VARIABLE.sub("", part).strip() for part in parts]
    return parts if len(parts) > 1 and all(parts) and not set("()[]{}") & set(text.replace("\\sqrt{", "")[:1]) else None


def _same_solutions(said: list[str], gold: list[str], rule: AnswerRule) -> bool:
    """The same values in any order, each once."""
    if len(said) != len(gold):
        return False
    # Crossed off as they are found, so that `2, 2` is not `2, 3`.
    left = list(gold)
    for one in said:
        found = next((other for other in left if _same_value(one, other, rule)), None)
        if found is None:
            return False
        left.remove(found)
    return True


def _same_value(said: str, gold: str, rule: AnswerRule) -> bool:
    if _compact(said) == _compact(gold):
        return True
    # Read as numbers `a = 3` and `b = 3` would be equal.
    names = [found[0].strip() if (found := _VARIABLE.match(text)) else "" for text in (said, gold)]
    if all(names) and _compact(names[0]) != _compact(names[1]):
        return False
    return _as_numbers(said, gold, rule) == "equal"


def _as_numbers(said: str, gold: str, rule: AnswerRule) -> str | None:
    """`equal` or `different` for two numbers in one unit, else None."""
    one, other = read_number(said, rule), read_number(gold, rule)
    if one is None or other is None:
        return None
    # `37.5%` for 3/8; of a whole number it is another one.
    if is_percent(one.unit) and not other.unit and other.exact and other.value.denominator > 1:
        one = replace(one, value=one.value / 100, unit="")
    return _same_numbers(one, other) if one.unit == other.unit else None


def _same_numbers(said: Number, gold: Number) -> str:
    if said.exact and gold.exact:
        return "equal" if said.value == gold.value and said.unit == gold.unit else "different"
    # A decimal is never a root: 1.414 is not the square root of 2, however many digits it has.
    if said.exact != gold.exact:
        return "different"
    close = abs(said.value - gold.value) <= Fraction(1, 10**12) * (1 + abs(gold.value))
    return "equal" if close and said.unit == gold.unit else "different"


def _prepared(text: str, unit: str | None) -> str:
    if _EACH_IN_DOLLARS.fullmatch(text):
        text = text.replace("$", "")
    text = _COMPARED.sub(lambda found: _IN_SIGNS[found[1].casefold(), bool(found[2])], text)
    text = out_of_dollars(bare(text, sentences=False))
    text = _NAMES_OF_POINT.sub("", _CASES.sub(lambda match: match[1].replace("\\\\", ","), text))
    text = without_latex_text(fractions_written_out(text, r"\frac{{{over}}}{{{under}}}")).strip()
    text = _ENDLESS.sub(r"\\infty", powers_written_out(text).replace("∞", r"\infty").replace("π", r"\pi "))
    # In square or in round brackets a matrix is the same; between bars it is a determinant.
    text = _PLUS_ENDLESS.sub("", _MATRIX.sub(r"\\\1{p", text.replace("∪", r"\cup ")))
    text = _ROOT.sub(lambda match: rf"\sqrt{{{match[1] or match[2]}}}", text)
    text = _CALLED_ROOT.sub(r"\\sqrt{\1}", text)
    text = _PI.sub(r"\\pi", text)
    text = re.sub(r"(?<![A-Za-z])\s*degrees?$", "°", text)
    text = _NAMED.sub(r"\\\1", text)
    text = _HIGHER_ROOT.sub(r"\2^{1/\1}", _PART_POWER.sub(r"^{\1/\2}", text))
    text = _EXPONENTIAL.sub(r"e^{\1}", _DERIVATIVE.sub("y' ", text))
    for letter, name in _GREEK.items():
        text = text.replace(letter, rf"\{name} ")
    for typed, sign in (("<=", "≤"), (">=", "≥"), ("!=", "≠")):
        text = text.replace(typed, sign)
    text = _TIMES.sub(" ", _FRACTION_OF.sub(r"\\frac{\1}{\2} ", text))
    text = vectors_in_brackets(_SEMICOLONS.sub(_between_commas, text))
    for command, sign in _RELATIONS.items():
        text = re.sub(re.escape(command) + r"(?![A-Za-z])", sign, text)
    text = without_unit(text, unit) if unit else text
    return text.removesuffix(".").rstrip("\\ \n").strip()


def _between_commas(found: re.Match[str]) -> str:
    """`(-1.5, 2.5)` of `(-1,5; 2,5)`."""
    return found[1] + re.sub(r"(?<=\d),(?=\d)", ".", found[2]).replace(";", ",") + found[3]


def _shape(text: str) -> tuple[object, ...]:
    """What both sides must have in common: words in order, signs, brackets around, and the number of list elements."""
    words = [word for word in _WORD.findall(_LATEX_COMMAND.sub(" ", text)) if word not in _FUNCTIONS]
    # math-verify takes both for the natural one.
    words += [name for name in ("log", "ln") if f"\\{name}" in text]
    # Products of single letters commute; words of several letters do not.
    ordered = tuple(word for word in words if len(word) > 1)
    brackets = (text[:1], text[-1:]) if text[:1] in "([{" and text[-1:] in ")]}" and "," in text else ("", "")
    # In their order: `x < 3` and `x > 3` have the same letters and numbers.
    signs = tuple(sign for sign in text if sign in _SIGNS)
    return ordered, frozenset("".join(words)), signs, brackets, text.count(","), text.count("=")


def _decimals(text: str) -> list[str]:
    return sorted(re.findall(r"\d+\.\d+", text))


def _in_fractions(text: str) -> str:
    r"""`\frac{3}{4}x` of `0.75x`."""

    def written(found: re.Match[str]) -> str:
        value = Fraction(found[0])
        return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"

    return re.sub(r"\d{1,20}\.\d{1,20}", written, text)


def _verified(gold: str, said: str) -> bool:
    r"""Both sides stand between dollar signs: bare, math-verify reads `2\sqrt{3}` as 2 and a list as its last number.

    Its time limits use SIGALRM, which Python delivers to the main thread of a process only.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("check answers of type math in the main thread of a process: their time limit needs it")
    return _proved(gold, said)


# The responses to a question give the same answers again and again. Both texts are short: `may_be_asked` bounds them.
@lru_cache(maxsize=4096)
def _proved(gold: str, said: str) -> bool:
    # Imported here: it loads sympy, which takes seconds, and most answers are decided before.
    import math_verify

    # After a degree sign math-verify reads on from the number alone: `\sin 30°` would be 30.
    expressions = [math_verify.parse(f"${_DEGREES.sub(_IN_RADIANS, text)}$") for text in (gold, said)]
    # An empty parse is what math-verify gives for text that it cannot read, and two of them would be equal.
    return all(expressions) and bool(math_verify.verify(*expressions, float_rounding=12))
