"""Where strictness is a choice: what the answer check accepts beyond the plain answer, each with a name."""

from mstar.types import Frozen


class AnswerRule(Frozen):
    """What counts as giving the reference answer. The defaults suit training."""

    sentences: bool = False
    r"""Without a heading, take "The answer is …" or a single `\boxed{…}` for the answer."""
    unasked_units: bool = True
    """Accept a unit where the reference answer has none: `3 years` for 3, `145°` for 145."""
    assignments: bool = True
    """Accept `x = 12` for 12."""
    closed_forms: bool = True
    r"""Accept `\frac{1}{2}`, `1 1/2` and `\sqrt{2}` where a decimal number is asked for, rounded as it is."""
    number_words: bool = True
    """Accept `two` for 2, and `1.2 million` for 1200000."""


DEFAULT_RULE = AnswerRule()
