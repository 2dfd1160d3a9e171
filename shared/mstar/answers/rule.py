"""What the answer check looks at (`AnswerPlace`), and where its strictness is a choice (`AnswerRule`)."""

from enum import StrEnum

from mstar.types import Frozen


class AnswerPlace(StrEnum):
    """Where a response states its answer. `docs/answers.md` has the rule of each."""

    HEADING = "heading"
    """After the first answer heading, as the paper's layout has it."""
    BOXED = "boxed"
    r"""In `\boxed{…}`, the only one or several that say the same."""
    ANSWER_TAG = "answer_tag"
    """Between `<answer>` and `</answer>`."""
    LAST_LINE = "last_line"
    """The whole last line that is not blank."""
    LETTER = "letter"
    """The last line, where it is an option's letter; for choice questions only."""


class AnswerRule(Frozen):
    """What counts as giving the reference answer. The defaults suit training."""

    sentences: bool = False
    r"""Without a heading, accept "The answer is …" or a single `\boxed{…}` as the answer."""
    unasked_units: bool = True
    """Accept a unit if the reference answer has none: `3 years` for 3, `145°` for 145."""
    assignments: bool = True
    """Accept `x = 12` for 12."""
    closed_forms: bool = True
    r"""Accept `\frac{1}{2}`, `1 1/2` and `\sqrt{2}` for a decimal number, rounded like it."""
    foreign_numbers: bool = True
    """Accept numbers as other countries write them: `3,14`, `1 234`, `1.234,5`, `1'234`, `12,34,567`."""
    number_words: bool = True
    """Accept `two` for 2, and `1.2 million` for 1200000."""


DEFAULT_RULE = AnswerRule()
