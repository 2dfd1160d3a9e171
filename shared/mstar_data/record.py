"""One record as a source has it, before its image is read and its answer is checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Record:
    """A question with what belongs to it."""

    where: str
    """File and line or place in it, for messages."""
    question: str
    image: Callable[[], bytes]
    """Reads the image file's bytes. Raises ValueError with a sentence where there is none to read."""
    gold: Mapping[str, Any]
    """The columns that `mstar.answers.answer_of` reads: answer, choices, answer_type, precision, unit."""
    id: str | None = None
    group: str | None = None
    split: str | None = None
    """The source's own name of the split; None where it has none."""
    extra: Mapping[str, Any] = field(default_factory=dict)


class BadRecord(ValueError):
    """A record that cannot be used; the message names its place, the field and the fix."""
