"""Compares a response with the reference answer by the rule of the answer's type.

Where a response states its answer is found first (`find`). What this leaves out: judges, and the rules of outside
benchmarks.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from mstar.answers.angles import same_turn
from mstar.answers.another import says_another
from mstar.answers.asked import answers_in_words, asks_order
from mstar.answers.choices import compare_choice
from mstar.answers.conclusions import conclusion_of
from mstar.answers.dimensions import is_of_another_kind
from mstar.answers.find import MISSING, find_answer
from mstar.answers.kinds import guessed
from mstar.answers.lists import compare_lists, in_a_row, swapped
from mstar.answers.marks import bare, first_answer, plain, without_latex_text
from mstar.answers.maths import compare_math
from mstar.answers.notations import same_notation
from mstar.answers.numbers import Number, read_number, rounded, short_scale
from mstar.answers.phrases import same_pair, same_text
from mstar.answers.quantities import total_in
from mstar.answers.renamed import without_kind
from mstar.answers.rule import DEFAULT_RULE, AnswerPlace, AnswerRule
from mstar.answers.sentences import answer_in_sentence
from mstar.answers.units import compares, factor, is_percent, is_variable, same_kind, same_unit, unit_behind
from mstar.answers.wanted import (
    asks_amount,
    in_wanted_unit,
    is_none,
    named_scale,
    wanted_scale,
    wanted_unit,
    without_place,
    without_stuff,
)
from mstar.errors import InvalidDataset
from mstar.types import Answer, AnswerType, Verdict

_LONGEST = 4096
"""Characters; a longer answer is not a bare answer, and would only cost time."""
_EMPTY_RUN = re.compile(r"[^\S\n]{100,}|\n{100,}")
"""White space that no layout needs: patterns that skip white space take quadratic time for it."""
_IN_BRACKETS = re.compile(r"\(\s*([$€£¥₹][^()]*|[^(),]*)\)")
"""A comma inside makes a point of it, but for a price."""
_TWICE = re.compile(r"([^()]+?)\s*\(([^()]+)\)")
_PARTS = re.compile(r"([\d.,]+)\s*(?::|to)\s*([\d.,]+)")
_SOLUTIONS = re.compile(r"\b(?:x-intercepts|roots|zeros|zeroes|solutions|solve)\b", re.IGNORECASE)
_NUMBERS = re.compile(r"-?[\d./]+(?:\s*,\s+-?[\d./]+)+")
"""Solutions without their unknown, which have no order."""
_COMMA = re.compile(r"\d,(?:\d{1,2}|\d{4,})(?!\d)")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}\.\d{3}(?![\d.,])")
_WHICH_TWO = re.compile(r"\b(?:what|which)\b.*\b(?:two|are|were)\b", re.IGNORECASE)
"""A question for two things, which may be named in any order."""
_SIGNS_OF_MONEY = ("$", "€", "£", "¥", "₹")


def check(
    text: str,
    answer: Answer,
    rule: AnswerRule = DEFAULT_RULE,
    place: AnswerPlace = AnswerPlace.HEADING,
    numbers: Sequence[str] = (),
    question: str = "",
) -> Verdict:
    """Compare a response with a reference answer. `place`: where the response states its own.

    `numbers`: what the data set calls the options, where these are numbers. Prompts of runs call them by letters.
    `question`: its text; with it an answer counts that stands in a sentence of the question's words.

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

    said = _EMPTY_RUN.sub(lambda run: run[0][0], said)
    if "=" not in answer.value:
        said = conclusion_of(said)

    reason = _compared(said, answer, rule, numbers, question)
    if (
        reason != "equal"
        and answer.type is not AnswerType.CHOICE
        and said.count(" or ") == 1
        and " or " not in answer.value
    ):
        # `3/4 or 0.75` says one thing twice.
        twice = [_compared(part, answer, rule, numbers, question) for part in said.split(" or ")]
        reason = "equal" if set(twice) == {"equal"} else reason
    if reason != "equal" and any(
        _compared(one, right, rule, numbers, question) == "equal"
        for right in (answer, *_alternatives(answer, question))
        for one in (said, *answers_in_words(first_answer(said), question))
    ):
        reason = "equal"
    if reason == "equal" and says_another(first_answer(said), answer, question):
        reason = "different"
    return Verdict(correct=reason == "equal", extracted=bare(said), reason=f"{answer.type.value}-{reason}")


def _compared(said: str, answer: Answer, rule: AnswerRule, numbers: Sequence[str], question: str) -> str:
    if answer.type is AnswerType.CHOICE:
        return compare_choice(said, answer, numbers)
    if answer.type is AnswerType.TEXT and not asks_order(question) and same_pair(first_answer(said), answer.value):
        return "equal"
    return _RULES[answer.type](said, answer, rule, question)


def _alternatives(answer: Answer, question: str) -> Iterator[Answer]:
    """Other references, each by its own type. A number is in the unit of the first, so that `2,350` is of $2,350."""
    for value in answer.alternatives:
        kind = guessed(value)
        kind = AnswerType.TEXT if kind is AnswerType.CHOICE else kind
        yield Answer(type=kind, value=value, precision=answer.precision, unit=answer.unit)
    if answer.type is AnswerType.TEXT:
        yield from (Answer(type=AnswerType.TEXT, value=name) for name in without_kind(bare(answer.value), question))


def _integer(said: str, answer: Answer, rule: AnswerRule, question: str) -> str:
    """Equal value; `61.0` is 61, and 61.4 is not."""
    return _number(said, answer, rule, question, lambda one, gold: one.value == gold.value)


def _float(said: str, answer: Answer, rule: AnswerRule, question: str) -> str:
    """Equal value, or equal once the response is rounded to the decimals that count.

    These are `precision`; without one, those that the reference answer has if they are two or more.
    """

    def same(one: Number, gold: Number) -> bool:
        if one.value == gold.value:
            return True
        # One decimal is too few to tell a rounded answer from a wrong one: 0.3 would take 0.25 to 0.34.
        places = answer.precision if answer.precision is not None else gold.places if gold.places >= 2 else None
        return places is not None and rounded(one.value, places) == gold.value

    return _number(said, answer, rule, question, same)


def _number(said: str, answer: Answer, rule: AnswerRule, question: str, same: Callable[[Number, Number], bool]) -> str:
    # By the default rule whatever the recipe says: its switches are about responses, and references are trusted.
    gold = read_number(answer.value, DEFAULT_RULE)
    if gold is None or (answer.type is AnswerType.INTEGER and gold.value.denominator != 1):
        article = "an integer" if answer.type is AnswerType.INTEGER else "a number"
        raise InvalidDataset(f"answer.value {answer.value!r} is not {article}", field="answer.value")
    unit = answer.unit or gold.unit
    # Beside 12,5 it is not sure whether 12.500 are thousands.
    if _COMMA.search(answer.value) and _THOUSANDS.search(said):
        return "unreadable"
    said = without_place(first_answer(said), question)
    one = _read(said, rule) or _in_words(plain(said), question)
    whole = unit or wanted_unit(question)
    if one is None and whole and (total := total_in(plain(said), whole)) is not None:
        one = Number(total)
    if one is None:
        return "unreadable"
    if one.ordinal and not gold.ordinal and asks_amount(question):
        return "different"
    measured = _measured(one, gold, unit, rule, question)
    if measured is None:
        return "unit-different"
    if (scale := wanted_scale(question) or named_scale(unit)) is not None:
        measured += tuple(replace(value, value=value.value / scale) for value in measured if abs(value.value) >= 1000)
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


def _in_words(said: str, question: str) -> Number | None:
    """`none` for 0 where the question counts, and `1 to 4` for 0.25 where it asks for a ratio."""
    if is_none(said, question):
        return Number(Fraction(0))
    ratio = _PARTS.fullmatch(said) if "ratio" in question.casefold() else None
    parts = [read_number(part, DEFAULT_RULE) for part in ratio.groups()] if ratio else []
    first, second = parts or (None, None)
    return Number(first.value / second.value) if first and second and second.value else None


def _measured(one: Number, gold: Number, asked: str, rule: AnswerRule, question: str) -> tuple[Number, ...] | None:
    """The response's value in the unit that is asked for; None where its unit is another."""
    # `5K` for 5000: read as a unit first, since beside kelvin it would be one.
    scale = short_scale(one.unit)
    if scale is not None and not (asked and (same_unit(one.unit, asked) or same_kind(one.unit, asked))):
        return (Number(one.value * scale),)
    if not one.unit and is_percent(asked) and abs(one.value) < 1 < abs(gold.value):
        return (one, Number(one.value * 100))  # `0.625` for 62.5 %
    one = replace(one, unit=without_stuff(one.unit, question))
    if not one.unit or (asked and same_unit(one.unit, asked)):
        return (one,)
    if asked:
        times = factor(one.unit, asked)
        return None if times is None else (Number(_converted(one.value * times), asked, 12),)
    wanted = in_wanted_unit(one.value, one.unit, question)
    if wanted is None:
        return None
    if wanted != one.value:
        return (Number(_converted(wanted), "", 12),)
    if is_percent(one.unit):
        # 50 % is 0.5 for an answer below 1, and 50 for one above: 300 % is not 3.
        share = Number(one.value / 100, "", one.places + 2)
        return (share,) if abs(gold.value) < 1 else (one,) if rule.unasked_units else None
    # `5 months older` is a difference: where one is asked for, the question's own words go before (`asked`).
    return (one,) if rule.unasked_units and not is_variable(one.unit) and not compares(one.unit) else None


def _converted(value: Fraction) -> Fraction:
    """Without the last digits of a float: a factor with pi, and pi itself, are no more exact."""
    return rounded(value, 9) if abs(value) > Fraction(1, 1000) else value


def _list(said: str, answer: Answer, rule: AnswerRule, question: str) -> str:
    reason = compare_lists(said, answer, rule)
    other = swapped(answer.value) if _WHICH_TWO.search(question) and not asks_order(question) else None
    if reason == "different" and other is not None:
        return compare_lists(said, answer.model_copy(update={"value": other}), rule)
    return reason


def _text(said: str, answer: Answer, rule: AnswerRule, question: str) -> str:
    one = first_answer(in_a_row(said) if "," in answer.value else said)
    if _SOLUTIONS.search(question) and _NUMBERS.fullmatch(bare(answer.value)):
        return compare_math(said, answer.model_copy(update={"value": re.sub(r"\s*,\s*", " or ", answer.value)}), rule)
    return _equal(same_text(one, answer.value) or same_notation(one, answer.value, question))


def _math(said: str, answer: Answer, rule: AnswerRule, question: str) -> str:
    one = first_answer(said)
    if same_notation(one, answer.value, question) or same_turn(one, answer.value, question):
        return "equal"
    ratio = _in_words(plain(one), question)
    gold = read_number(answer.value, DEFAULT_RULE) if ratio is not None else None
    if ratio is not None and gold is not None and gold.exact and gold.value == ratio.value and not gold.unit:
        return "equal"
    if not answer.unit and is_of_another_kind(unit_behind(without_latex_text(bare(one))), question):
        return "unit-different"
    return compare_math(one, answer, rule)


_RULES: dict[AnswerType, Callable[[str, Answer, AnswerRule, str], str]] = {
    AnswerType.INTEGER: _integer,
    AnswerType.FLOAT: _float,
    AnswerType.LIST: _list,
    AnswerType.TEXT: _text,
    AnswerType.MATH: _math,
}


def _equal(equal: bool) -> str:
    return "equal" if equal else "different"
