"""Compares a response with the reference answer by the rule of the answer's type.

Where a response states its answer is found first (`find`). What this leaves out: judges, and the rules of outside
benchmarks.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from mstar.answers.choices import compare_choice
from mstar.answers.find import MISSING, find_answer
from mstar.answers.lists import compare_lists
from mstar.answers.marks import bare, first_answer, plain
from mstar.answers.maths import compare_math
from mstar.answers.numbers import Number, read_number, rounded, short_scale
from mstar.answers.quantities import same_compound, total_in
from mstar.answers.rule import DEFAULT_RULE, AnswerPlace, AnswerRule
from mstar.answers.sentences import answer_in_sentence
from mstar.answers.texts import canonical, means, named_figure, same_place
from mstar.answers.times import same_duration, same_moment
from mstar.answers.units import factor, is_percent, is_variable, same_kind, same_unit
from mstar.errors import InvalidDataset
from mstar.types import Answer, AnswerType, Verdict

_LONGEST = 4096
"""Characters; a longer answer is not a bare answer, and would only cost time."""
_ARTICLE = re.compile(r"(?:the|a|an)\s+(?=\S)")
_THE_ONE = re.compile(r"the\s+(.+)\s+one")
_YES_NO = re.compile(r"(yes|no|true|false)\b[,.!]\s+(?P<rest>\S.*)")
_TURNS = re.compile(r"\b(?:yes|no|but|wait|actually|however|unless|not sure|true|false|maybe|except)\b")
"""Words behind a yes or no that take it back."""
_RANGE = re.compile(r"(?:(?:from|between)\s+)?(-?[\d.,]+)\s*(?:-|\u2014|to\b|and\b)\s*(-?[\d.,]+)(.*)")
_IN_BRACKETS = re.compile(r"\(\s*([$€£¥₹][^()]*|[^(),]*)\)")
"""A comma inside makes a point of it, but for a price."""
_TWICE = re.compile(r"([^()]+?)\s*\(([^()]+)\)")
_SIGNS_OF_MONEY = ("$", "€", "£", "¥", "₹")
_RATIO = re.compile(r"[\d,]+(?:\s*:\s*[\d,]+)+")


def check(
    text: str,
    answer: Answer,
    rule: AnswerRule = DEFAULT_RULE,
    place: AnswerPlace = AnswerPlace.HEADING,
    numbers: Sequence[str] = (),
) -> Verdict:
    """Compare a response with a reference answer. `place`: where the response states its own.

    `numbers`: what the data set calls the options, where these are numbers. Prompts of runs call them by letters.

    Raises InvalidDataset when the reference answer does not have its own type, and RuntimeError when a `math` answer is
    checked outside a main thread.
    """
    said = find_answer(text, place)
    if said is None and rule.sentences:
        # Only where no place has an answer, or a response could offer a second one in words.
        said = answer_in_sentence(text)
    if said is None:
        return Verdict(correct=False, reason=MISSING[place])
    if not said:
        return Verdict(correct=False, extracted="", reason="empty-answer")
    if len(said) > _LONGEST:
        return Verdict(correct=False, extracted=said[:80], reason="answer-too-long")
    choice = answer.type is AnswerType.CHOICE
    reason = compare_choice(said, answer, numbers) if choice else _RULES[answer.type](said, answer, rule)
    return Verdict(correct=reason == "equal", extracted=bare(said), reason=f"{answer.type.value}-{reason}")


def _integer(said: str, answer: Answer, rule: AnswerRule) -> str:
    """Equal value; `61.0` is 61, and 61.4 is not."""
    return _number(said, answer, rule, lambda one, gold: one.value == gold.value)


def _float(said: str, answer: Answer, rule: AnswerRule) -> str:
    """Equal value, or equal once the response is rounded to the decimals that count.

    These are `precision`; without one, those that the reference answer has if they are two or more.
    """

    def same(one: Number, gold: Number) -> bool:
        if one.value == gold.value:
            return True
        # One decimal is too few to tell a rounded answer from a wrong one: 0.3 would take 0.25 to 0.34.
        places = answer.precision if answer.precision is not None else gold.places if gold.places >= 2 else None
        return places is not None and rounded(one.value, places) == gold.value

    return _number(said, answer, rule, same)


def _number(said: str, answer: Answer, rule: AnswerRule, same: Callable[[Number, Number], bool]) -> str:
    # By the default rule whatever the recipe says: its switches are about responses, and references are trusted.
    gold = read_number(answer.value, DEFAULT_RULE)
    if gold is None or (answer.type is AnswerType.INTEGER and gold.value.denominator != 1):
        article = "an integer" if answer.type is AnswerType.INTEGER else "a number"
        raise InvalidDataset(f"answer.value {answer.value!r} is not {article}", field="answer.value")
    unit = answer.unit or gold.unit
    one = _read(first_answer(said), rule)
    if one is None and unit and (total := total_in(plain(first_answer(said)), unit)) is not None:
        one = Number(total)
    if one is None:
        return "unreadable"
    measured = _measured(one, gold, unit, rule)
    if measured is None:
        return "unit-different"
    return _equal(any(same(value, gold) for value in measured))


def _read(said: str, rule: AnswerRule) -> Number | None:
    """The one number that is said, also in brackets, `(7)`, or twice, `seven (7)`. Accounts write -5 $ as `($5)`."""
    text = bare(said)
    if held := _IN_BRACKETS.fullmatch(text):
        inner = read_number(held[1], rule.model_copy(update={"foreign_numbers": False}))
        negative = inner is not None and inner.unit in _SIGNS_OF_MONEY and inner.value > 0
        return replace(inner, value=-inner.value) if inner is not None and negative else inner
    twice = _TWICE.fullmatch(text)
    first, second = (read_number(part, rule) for part in twice.groups()) if twice else (None, None)
    if first is not None and second is not None:
        return first if first.value == second.value else None
    return read_number(text, rule)


def _measured(one: Number, gold: Number, asked: str, rule: AnswerRule) -> tuple[Number, ...] | None:
    """The response's value in the unit that is asked for; None where its unit is another."""
    # `5K` for 5000: read as a unit first, since beside kelvin it would be one.
    scale = short_scale(one.unit)
    if scale is not None and not (asked and (same_unit(one.unit, asked) or same_kind(one.unit, asked))):
        return (Number(one.value * scale),)
    if not one.unit or (asked and same_unit(one.unit, asked)):
        return (one,)
    if asked:
        times = factor(one.unit, asked)
        return None if times is None else (Number(_converted(one.value * times), asked, 12),)
    if is_percent(one.unit):
        # 50 % is 0.5 for an answer below 1, and 50 for one above: 300 % is not 3.
        share = Number(one.value / 100, "", one.places + 2)
        return (share,) if abs(gold.value) < 1 else (one,) if rule.unasked_units else None
    return (one,) if rule.unasked_units and not is_variable(one.unit) else None


def _converted(value: Fraction) -> Fraction:
    """Without the last digits of a float: a factor with pi, and pi itself, are no more exact."""
    return rounded(value, 9) if abs(value) > Fraction(1, 1000) else value


def _list(said: str, answer: Answer, rule: AnswerRule) -> str:
    return compare_lists(said, answer, rule)


def _text(said: str, answer: Answer, rule: AnswerRule) -> str:
    """Equal text, without an article in front; `Yes, it is.` is yes; dates and times by what they name."""
    one, gold = canonical(plain(_shouted(first_answer(said)))), canonical(plain(answer.value))
    # Only for a reference that is yes or no: elsewhere the words behind the comma are the answer.
    if gold in ("yes", "no", "true", "false") and (led := _YES_NO.fullmatch(one)) and not _TURNS.search(led["rest"]):
        one = led[1]
    if same_moment(bare(said), bare(answer.value)) or same_duration(one, gold) or same_compound(one, gold):
        return "equal"
    if named_figure(bare(first_answer(said)), bare(answer.value)):
        return "equal"
    asked, told = _RANGE.fullmatch(gold), _RANGE.fullmatch(one)
    if asked and told:
        return _equal(asked.groups() == told.groups())
    if _RATIO.fullmatch(gold) and (parts := _ratio(one)):
        return _equal(parts == _ratio(gold))
    one, gold = (_ARTICLE.sub("", text, count=1) for text in (_THE_ONE.sub(r"\1", one), gold))
    return _equal(one == gold or means(one, gold) or same_place(one, gold) or _same_count(one, gold))


def _same_count(said: str, gold: str) -> bool:
    """`2` for two."""
    asked = read_number(gold, DEFAULT_RULE) if gold.replace("-", " ").replace(" ", "").isalpha() else None
    told = read_number(said, DEFAULT_RULE) if asked is not None and not asked.unit else None
    return told is not None and asked is not None and not told.unit and told.value == asked.value


def _ratio(text: str) -> list[str]:
    """Parts of `2:3`, `2 to 3 to 4` or `1 : 50,000`; empty for anything else."""
    parts = re.split(r"\s*(?::|/|to\b)\s*", re.sub(r"(?<=\d)[, ](?=\d{3}\b)", "", text))
    return parts if len(parts) > 1 and all(part.isdigit() for part in parts) else []


def _shouted(text: str) -> str:
    """Without exclamation marks behind a word; behind a number they are a factorial."""
    return re.sub(r"(?<=[^\W\d_])!+\s*$", "", text.strip())


def _math(said: str, answer: Answer, rule: AnswerRule) -> str:
    return compare_math(first_answer(said), answer, rule)


_RULES: dict[AnswerType, Callable[[str, Answer, AnswerRule], str]] = {
    AnswerType.INTEGER: _integer,
    AnswerType.FLOAT: _float,
    AnswerType.LIST: _list,
    AnswerType.TEXT: _text,
    AnswerType.MATH: _math,
}


def _equal(equal: bool) -> str:
    return "equal" if equal else "different"
