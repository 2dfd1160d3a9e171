"""The layout of every response: steps as paragraphs, then the heading `## Answer`, a blank line and the bare answer.

Policy, PRM, trainer and answer check all cut responses here, so a step is the same thing everywhere (paper, section 3:
steps are separated by blank lines). A recipe may name another separator (`prompt.step_separator`), which every function
takes. A separator inside display mathematics and code separates nothing (`blocks`).
What this leaves out: tokens (the model package) and what an answer is worth (`answers`).
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field

from mstar.blocks import blocks

STEP_SEPARATOR = "\n\n"
"""What separates steps unless a recipe says otherwise: a blank line, whatever white space is in it."""
MAX_SEPARATOR = 20
"""Characters of a separator."""
ANSWER_HEADING = "## Answer"

# Possessive: white space that could be given back would be read again from each of its places, in quadratic time.
_SPACE = r"[^\S\n]*+"
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


def separator_problem(separator: str) -> str | None:
    """Why this text cannot separate steps, and what to do; None: it can.

    What it lets through can be told apart from the steps: a joined response is cut where it was joined.
    """
    if not 0 < len(separator) <= MAX_SEPARATOR:
        return f"has {len(separator)} characters: give 1 to {MAX_SEPARATOR}"
    if not separator.isprintable() and not separator.replace("\n", "").isprintable():
        return "holds a control character other than a line feed: leave it out"
    if separator == STEP_SEPARATOR:
        return None
    # A shell and plain YAML hand `\n` on as it stands, and no response would ever be cut at that.
    if re.search(r"\\[nrt](?![A-Za-z])", separator):
        return "holds a backslash and a letter, not a line feed: write it in double quotes, as in YAML: '\"\\n\"'"
    if separator.isspace() and "\n" not in separator:
        return "is white space that stands between words: give another one"
    if any(separator.endswith(separator[:length]) for length in range(1, len(separator))):
        return "ends as it begins, so that it could be found in two places: give one whose ends differ"
    if re.search(r"[^\S\n]\n", separator):
        return "has white space before a line feed, which is not kept there: leave the white space out"
    if blocks(f"{separator}\n{separator}") or re.search(r"\$\$|\\[\[\]]|\\(?:begin|end)\{|```|~~~", separator):
        return "holds a mark of mathematics or code, which keep their own separators: give another one"
    if _HEADING.search(separator) or _HEADING.search(f"{separator.strip()} 1"):
        return "reads as the answer's heading: give another one"
    return None


def is_blank_line(separator: str) -> bool:
    """Whether this is the default, which records do not name."""
    return separator == STEP_SEPARATOR


def _separates(separator: str) -> str:
    if (problem := separator_problem(separator)) is not None:
        raise ValueError(f"the separator {separator[:MAX_SEPARATOR]!r} {problem}")
    return separator


Separator = Annotated[str, AfterValidator(_separates), Field(min_length=1, max_length=MAX_SEPARATOR)]
"""What separates the steps of a response (`layout.separator_problem`)."""


def split_response(text: str, separator: str = STEP_SEPARATOR) -> ResponseParts:
    """Cut a response at its FIRST answer heading, and what stands before it at every `separator`.

    The first heading counts and all that follows it is the answer, so a response that offers a second answer is read as
    one long answer that matches nothing, instead of being given the better of two tries. A heading begins its line and
    is written `## Answer` (any level), `**Answer**`, `Answer:` or `The answer is:`, also with "Final" or "Correct" and
    after a bullet or a quotation mark; after a colon the answer may be on the same line.
    """
    return _split_short(text, separator) if len(text) <= _SHORT else _split(text, separator)


def _split(text: str, separator: str) -> ResponseParts:
    text = _plain_line_ends(text)
    heading = _HEADING.search(text)
    if heading is None:
        return ResponseParts(_pieces(text, separator), None)
    # The answer is not a step: its paragraphs are what they are under any separator.
    # In `**Answer: 61**` the answer stands inside the heading's own marks.
    answer = (heading["inside"] or "") + text[heading.end() :]
    stated = join_segments(_pieces(answer, STEP_SEPARATOR))
    return ResponseParts(_pieces(text[: heading.start()], separator), stated)


_SHORT = 2000
"""Characters of a text whose parts are kept: what is sent to a service may be megabytes, and must not pile up."""
_split_short = lru_cache(maxsize=4096)(_split)
"""The check, selection, soundness and the metrics each cut the responses of an evaluation again."""


def scored_segments(text: str, separator: str = STEP_SEPARATOR) -> tuple[str, ...]:
    """The pieces that get a score each: the steps, and last the whole answer block if there is one.

    Joined by `join_segments` they are the canonical text of the response, and cutting that again gives the same pieces.
    """
    parts = split_response(text, separator)
    if parts.answer is None:
        return parts.steps
    # Always the one canonical heading, so that `Answer: 5` and `## Answer` with 5 below it are one text to the PRM.
    block = (ANSWER_HEADING, parts.answer) if parts.answer else (ANSWER_HEADING,)
    return (*parts.steps, join_segments(block))


def segment_spans(text: str, separator: str = STEP_SEPARATOR) -> tuple[tuple[int, int], ...]:
    """Where each of the `scored_segments` begins and ends in the text as it is, white space around it left out.

    Sampled tokens are cut with these: they spell the text as it was written, not its canonical form.
    """
    # As long as the text itself, so that places in one are places in the other.
    text = text.replace("\r\n", " \n").replace("\r", "\n")
    heading = _HEADING.search(text)
    if heading is None:
        return _spans(text, separator)
    # The match begins with the line's indent, which is not part of the block.
    begin = heading.start() + len(heading[0]) - len(heading[0].lstrip())
    return (*_spans(text[: heading.start()], separator), (begin, len(text.rstrip())))


def is_answer_block(segment: str) -> bool:
    """Whether one of the `scored_segments` is the answer block."""
    return _HEADING.match(segment) is not None


def join_segments(segments: Sequence[str], separator: str = STEP_SEPARATOR) -> str:
    """The text of consecutive segments: the separator between two steps, and before the answer block."""
    if separator == STEP_SEPARATOR:
        return separator.join(segments)
    return "".join(text for pair in zip(segments, (*gaps(segments, separator), ""), strict=False) for text in pair)


def gaps(segments: Sequence[str], separator: str = STEP_SEPARATOR) -> tuple[str, ...]:
    """What stands between each segment and the next one.

    The answer's heading begins a line, so before it a separator that ends none is replaced by a blank line.
    """
    heads = STEP_SEPARATOR if not separator.endswith("\n") else separator
    return tuple(heads if is_answer_block(one) else separator for one in segments[1:])


def canonical_steps(steps: Sequence[str]) -> tuple[str, ...]:
    """Steps that a caller has cut, as they would stand in a response: plain line ends, no white space around them.

    A score depends on every token of a step, so a trailing line end must not make another step of it. A step that is
    white space only becomes empty.
    """
    return tuple(_plain_line_ends(step).strip() for step in steps)


def _plain_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _pieces(text: str, separator: str) -> tuple[str, ...]:
    """Pieces between separators, stripped, none empty; a separator inside mathematics or code cuts none."""
    return tuple(text[begin:end] for begin, end in _spans(text, separator))


def _spans(text: str, separator: str) -> tuple[tuple[int, int], ...]:
    """Begin and end of each piece."""
    inside = blocks(text)
    pieces, begin = [], 0
    pattern = _BLANK_LINES if separator == STEP_SEPARATOR else re.compile(re.escape(separator))
    for blank in pattern.finditer(text):
        # Blocks are in order and apart, so the one that could hold the blank line is the last that begins before it.
        place = bisect_right(inside, (blank.start(), len(text)))
        if place and blank.start() < inside[place - 1][1]:
            continue
        pieces.append((begin, blank.start()))
        begin = blank.end()
    return tuple(_stripped(text, *piece) for piece in (*pieces, (begin, len(text))) if text[slice(*piece)].strip())


def _stripped(text: str, begin: int, end: int) -> tuple[int, int]:
    piece = text[begin:end]
    return end - len(piece.lstrip()), begin + len(piece.rstrip())
