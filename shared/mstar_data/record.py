"""One record as a source has it, before its images are read and its answer is checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

ReadImage = Callable[[], bytes]
"""Reads an image file's bytes. Raises ValueError with a sentence where there is none to read."""


@dataclass(frozen=True)
class Record:
    """A question with what belongs to it."""

    where: str
    """File and line or place in it, for messages."""
    question: str
    images: tuple[ReadImage, ...]
    """In the order of the question."""
    gold: Mapping[str, Any]
    """The columns that `mstar.answers.answer_of` reads: answer, choices, answer_type, precision, unit."""
    id: str | None = None
    group: str | None = None
    split: str | None = None
    """The source's own name of the split; None where it has none."""
    own_split: bool = False
    """Its name is that of a folder beside those of known splits: a further test."""
    steps: tuple[str, ...] = ()
    """Steps of a solution, where the set labels them."""
    response: str | None = None
    """A whole solution that ends in the answer, where the set has one: trains SFT."""
    responses: tuple[str, ...] = ()
    """What models or an assistant said, whole: read to be scored, and left out of an import."""
    labels: tuple[float, ...] = ()
    """For each step how likely it is right, in [0, 1]."""
    answerless: str = ""
    """What to do, for a record that has no answer: which of its columns a mapping may name."""
    later_turns: int = 0
    """Turns of a conversation after its first question and answer, which are not read."""


class BadRecord(ValueError):
    """A record that cannot be used; the message names its place, the field and the fix."""
