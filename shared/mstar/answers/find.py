r"""Finds where a response states its answer: after a heading, in a box, in a tag, or on the last line.

One place is looked at, the one that the prompt asks for; `docs/answers.md` has the rule of each. A place that holds two
different answers holds none, and the last number of a text is never its answer. What this leaves out: whether the
answer is right (`check`).
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from mstar.answers.marks import bare, first_answer
from mstar.answers.numbers import read_number
from mstar.answers.rule import DEFAULT_RULE, AnswerPlace
from mstar.layout import ANSWER_HEADING, STEP_SEPARATOR, join_segments, split_response

_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_TAG = re.compile(r"<(?P<end>/?)answer>", re.IGNORECASE)
_LEADS = re.compile(r"(?:^|[=:≈]|\b(?:is|are|be|equals))[\s$*(\\]*$", re.IGNORECASE)
_DOUBTS = re.compile(r"\b(?:not|no|or|either|neither|never|instead|wrong)\b|n['\u2019]t\b", re.IGNORECASE)
_CLOSES = re.compile(r"[\s$*.)\\\]]*")
_LETTER = re.compile(
    r"(?:(?:option|choice)\s+)?(?:[(\[][A-Za-z][)\]]|[A-Z](?=[.):,\s]|$))[.):,]?(?:\s.*)?", re.IGNORECASE
)

_LONGEST = 4096
"""Characters of an answer that is searched for marks; a longer one is not a bare answer."""

Span = tuple[int, int, str]
"""Where a mark begins and ends, and what it holds."""

MISSING = {
    AnswerPlace.HEADING: "no-answer-heading",
    AnswerPlace.BOXED: "no-single-box",
    AnswerPlace.ANSWER_TAG: "no-single-answer-tag",
    AnswerPlace.LAST_LINE: "no-last-line",
    AnswerPlace.LETTER: "no-letter-on-the-last-line",
}
"""Reason of a verdict where the place holds no answer."""


def find_answer(text: str, place: AnswerPlace = AnswerPlace.HEADING) -> str | None:
    """The answer as it is written in its place; None where there is none, empty where the place is."""
    return _FINDERS[place](text)


def stated_answer(answer: str, place: AnswerPlace = AnswerPlace.HEADING) -> str:
    """The shortest response with this answer in its place, so that `find_answer` finds it there."""
    return _STATED[place].replace("{}", answer)


_STATED = {
    AnswerPlace.HEADING: f"{ANSWER_HEADING}{STEP_SEPARATOR}{{}}",
    AnswerPlace.BOXED: r"\boxed{{}}",
    AnswerPlace.ANSWER_TAG: "<answer>{}</answer>",
    AnswerPlace.LAST_LINE: "{}",
    AnswerPlace.LETTER: "{}",
}


def boxes(text: str) -> list[Span]:
    r"""Every `\boxed{…}` that is closed, in order, braces inside included; one inside another is not listed."""
    found: list[Span] = []
    for match in _BOX.finditer(text):
        if found and match.start() < found[-1][1]:
            continue
        depth = 1
        for end in range(match.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0:
                found.append((match.start(), end + 1, text[match.end() : end].strip()))
                break
        else:
            break  # nothing closes it, so nothing closes a later one on the same level
    return found


def tags(text: str) -> list[Span]:
    """Every `<answer>…</answer>`, in order; a tag that nothing closes holds nothing."""
    marks = list(_TAG.finditer(text))
    return [
        (begin.start(), end.end(), text[begin.end() : end.start()].strip())
        for begin, end in pairwise(marks)
        if end["end"] and not begin["end"]
    ]


def _behind_heading(text: str) -> str | None:
    """What follows the first heading; further headings are passed over while all say the same."""
    whole = answer = split_response(text).answer
    # Each round cuts again what is left, so the length bounds the work of a text of nothing but headings.
    while answer and len(answer) <= _LONGEST:
        below = split_response(answer)
        if below.answer is None:
            return _marked_in(answer)
        first = join_segments(below.steps)
        # Two answers that differ: the whole is handed on, which equals no reference.
        if first and bare(_marked_in(first)) != bare(_marked_in(below.answer)):
            return whole
        answer = below.answer
    return answer if answer is None else whole


def _in_box(text: str) -> str | None:
    return _single(text, boxes(text))


def _in_tag(text: str) -> str | None:
    return _single(text, tags(text))


def _last_line(text: str) -> str | None:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else None


def _letter(text: str) -> str | None:
    line = _last_line(text)
    return line if line is not None and _LETTER.fullmatch(bare(line)) else None


_FINDERS: dict[AnswerPlace, Callable[[str], str | None]] = {
    AnswerPlace.HEADING: _behind_heading,
    AnswerPlace.BOXED: _in_box,
    AnswerPlace.ANSWER_TAG: _in_tag,
    AnswerPlace.LAST_LINE: _last_line,
    AnswerPlace.LETTER: _letter,
}


def _single(text: str, spans: Sequence[Span]) -> str | None:
    """What the marks hold, if all of them say the same; with the unit that stands after the last one."""
    # The same box twice is one answer; two different ones are none, or guessing would pay.
    if len({bare(held) for _, _, held in spans}) != 1:
        return None
    _, end, held = spans[-1]
    return _with_unit(held, text[end:].partition("\n")[0])


def _marked_in(answer: str) -> str:
    r"""What a single box or tag in the answer holds, where a sentence leads to it, as in `The area is \boxed{61}`."""
    if len(answer) > _LONGEST:
        return answer
    said = first_answer(answer)
    spans = boxes(said) or tags(said)
    if len(spans) != 1:
        return answer
    begin, end, held = spans[0]
    before, after = said[:begin], said[end:]
    unit = _with_unit(held, after)
    # Words that are left out must lead to the box and say nothing else: `not \boxed{61}` stays as it is written.
    if _DOUBTS.search(before) or not _LEADS.search(before) or (unit == held and not _CLOSES.fullmatch(after)):
        return answer
    return unit


def _with_unit(held: str, behind: str) -> str:
    r"""`\boxed{12} kg` says 12 kg."""
    tail = behind.strip().strip("$.* ")
    if not tail or len(tail) > 40:
        return held
    number = read_number(f"{bare(held)} {tail}", DEFAULT_RULE)
    return f"{held} {tail}" if number is not None and number.unit else held
