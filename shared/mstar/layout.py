"""The layout of every response: steps as paragraphs, then the heading `## Answer`, a blank line and the bare answer.

Policy, PRM, trainer and answer check all cut responses here, so a step is the same thing everywhere (paper, section 3:
steps are separated by blank lines). Blank lines inside display mathematics and code separate nothing (`blocks`).
What this leaves out: tokens (the model package) and what an answer is worth (`answers`).
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mstar.blocks import blocks

STEP_SEPARATOR = "\n\n"
ANSWER_HEADING = "## Answer"

_SPACE = r"[^\S\n]*"
_NAME = r"(?:(?:the[^\S\n]+)?(?:(?:final|correct)[^\S\n]+)?answer|(?:最终)?答案)"
_COLON = rf"(?:[^\S\n]+is)?{_SPACE}[:：]"
_EMPHASIS = r"(?P<mark>\*\*|__|\*|_)"
_HEADING = re.compile(
    rf"^{_SPACE}(?:[>•*-][^\S\n]+)?(?P<level>\#{{1,6}}{_SPACE})?(?:"
    # **Answer:** 61   **Answer**: 61   **Answer** alone on its line
    rf"{_EMPHASIS}{_NAME}(?:{_COLON}{_SPACE}(?P=mark)|(?P=mark){_SPACE}[:：]|(?P=mark){_SPACE}$)"
    # **Answer: 61**
    rf"|{_EMPHASIS.replace('mark', 'around')}{_NAME}{_COLON}{_SPACE}"
    rf"(?P<inside>[^\n]*?\S)(?P=around)(?={_SPACE}\.?{_SPACE}$)"
    # Answer: 61   ## Answer: 61
    rf"|{_NAME}{_COLON}"
    # ## Answer
    rf"|(?(level){_NAME}{_SPACE}\#*{_SPACE}$|(?!))"
    r")",
    re.IGNORECASE | re.MULTILINE,
)
_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")


@dataclass(frozen=True, slots=True)
class ResponseParts:
    """A response cut in two."""

    steps: tuple[str, ...]
    """Paragraphs before the heading, stripped, none empty. A block of mathematics or code stays in one."""
    answer: str | None
    """Everything after the first heading, stripped; None when no line is the heading, empty when nothing follows it."""


def split_response(text: str) -> ResponseParts:
    """Cut a response at its FIRST answer heading.

    The first heading counts and all that follows it is the answer, so a response that offers a second answer is read as
    one long answer that matches nothing, instead of being given the better of two tries. A heading begins its line and
    is written `## Answer` (any level), `**Answer**`, `Answer:` or `The answer is:`, also with "Final" or "Correct" and
    behind a bullet or a quotation mark; behind a colon the answer may be on the same line.
    """
    text = _plain_line_ends(text)
    heading = _HEADING.search(text)
    if heading is None:
        return ResponseParts(_paragraphs(text), None)
    answer = (heading["inside"] or "") + text[heading.end() :]
    return ResponseParts(_paragraphs(text[: heading.start()]), join_segments(_paragraphs(answer)))


def scored_segments(text: str) -> tuple[str, ...]:
    """The pieces that get a score each: the steps, and last the whole answer block if there is one.

    Joined by `join_segments` they are the canonical text of the response, and cutting that again gives the same pieces.
    """
    parts = split_response(text)
    if parts.answer is None:
        return parts.steps
    block = (ANSWER_HEADING, parts.answer) if parts.answer else (ANSWER_HEADING,)
    return (*parts.steps, join_segments(block))


def merge_segments(segments: Sequence[str], limit: int) -> tuple[str, ...]:
    """Join neighbours until at most `limit` segments are left, into groups whose sizes differ by one at most.

    An answer block stays on its own while `limit` is 2 or more: its score is about the answer, not about a step.
    Raises ValueError for a limit below 1.
    """
    if limit < 1:
        raise ValueError(f"limit = {limit}: at least one segment must be allowed")
    if len(segments) <= limit:
        return tuple(segments)
    if limit > 1 and _HEADING.match(segments[-1]):
        return (*_grouped(segments[:-1], limit - 1), segments[-1])
    return _grouped(segments, limit)


def join_segments(segments: Sequence[str]) -> str:
    """The text of consecutive segments: one blank line between two of them."""
    return STEP_SEPARATOR.join(segments)


def canonical_steps(steps: Sequence[str]) -> tuple[str, ...]:
    """Steps that a caller has cut, as they would stand in a response: plain line ends, no white space around them.

    A score depends on every token of a step, so a trailing line end must not make another step of it. A step that is
    white space only becomes empty.
    """
    return tuple(_plain_line_ends(step).strip() for step in steps)


def _plain_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _grouped(segments: Sequence[str], count: int) -> tuple[str, ...]:
    total = len(segments)
    bounds = [total * place // count for place in range(count + 1)]
    return tuple(join_segments(segments[low:high]) for low, high in pairwise(bounds))


def _paragraphs(text: str) -> tuple[str, ...]:
    """Pieces between blank lines, stripped, none empty; a blank line inside mathematics or code cuts none."""
    inside = blocks(text)
    pieces, begin = [], 0
    for blank in _BLANK_LINES.finditer(text):
        place = bisect_right(inside, (blank.start(), len(text)))
        if place and blank.start() < inside[place - 1][1]:
            continue
        pieces.append(text[begin : blank.start()])
        begin = blank.end()
    stripped = (piece.strip() for piece in (*pieces, text[begin:]))
    return tuple(piece for piece in stripped if piece)
