"""What an import read, what it could not use, and what came twice."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from mstar.alike import gather, listed
from mstar.errors import InvalidDataset

SHOWN = 20
"""Problems that a message lists."""


@dataclass
class Summary:
    """Counts of an import, and the first problems."""

    records: Counter[str] = field(default_factory=Counter)
    """By split."""
    types: Counter[str] = field(default_factory=Counter)
    """By type of answer."""
    groups: Counter[str] = field(default_factory=Counter)
    images: int = 0
    in_words: int = 0
    """Records without an image."""
    pictures_unread: bool = False
    """Whether no record has an image, though the source has picture files."""
    later_turns: int = 0
    """Conversations that go on after their first question and answer, which alone are read."""
    same_options: int = 0
    """Records with an option that stands twice; the letter of either counts."""
    filtered: int = 0
    """Records that the mapping's filters leave out."""
    repeated: int = 0
    """Records whose question, image and answer came before in their split; left out."""
    shared: int = 0
    """Records that an earlier split has as well, so that a test would repeat the training."""
    near: int = 0
    """Records with a question that came before, about a picture that looks the same."""
    overlap: Counter[str] = field(default_factory=Counter)
    """Records whose picture an evaluation set has, by set."""
    overlap_questions: Counter[str] = field(default_factory=Counter)
    """Those whose question about it the set has as well."""
    dropped: int = 0
    """Of the last four kinds, what `--drop` left out."""
    problems: list[str] = field(default_factory=list)
    """The first of each kind, with file and place."""
    kinds: dict[str, int] = field(default_factory=dict)
    """How many there are of a kind."""
    bad: int = 0
    beyond: list[str] = field(default_factory=list)
    """Folders outside of the source that links and paths of its records led to."""

    def refuse(self, problem: str) -> None:
        """Count a record that cannot be used."""
        self.bad += 1
        gather(problem, self.problems, self.kinds, SHOWN)

    @property
    def complaints(self) -> list[str]:
        """A line for each problem that is shown, with the number of those that are like it."""
        return listed(self.problems, self.kinds, self.bad)

    def as_json(self) -> dict[str, Any]:
        """All counts, for a file."""
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The summary that `as_json` wrote."""
        counters = ("records", "types", "groups", "overlap", "overlap_questions")
        given: dict[str, Any] = {name: Counter(v) if name in counters else v for name, v in values.items()}
        return cls(**given)


def require_records(summary: Summary, source: Path) -> None:
    """Raises InvalidDataset where nothing came of a source, which then is empty or another one than was meant."""
    if not summary.records:
        left = " can be used: all of them are left out" if summary.filtered or summary.dropped else ""
        mend = "look at --drop and the mapping's filters" if left else "name the file or folder that has them"
        raise InvalidDataset(f"{source} has no record{left or ' that can be used'}: {mend}", field="source")
