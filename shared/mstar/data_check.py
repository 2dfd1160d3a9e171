"""What the check of a run's data set may leave out, and its findings.

Every record that a run uses is looked at once, before anything is sampled: by the coordinator when the run is asked
for, as far as the time allows, and whole by the step `prepare`.
"""

from enum import StrEnum

from mstar.types import Frozen

SHOWN = 20
"""Problems that are kept by file and line; beyond these only their number is."""


class Drop(StrEnum):
    """Records that double others."""

    REPEATED = "repeated"
    """Question, pictures and answer came before in the same split."""
    SHARED = "shared"
    """A split that is prepared earlier has the very record: the tests, then validation, then train."""
    NEAR = "near"
    """Question and answer came before, about a picture that looks the same."""
    OVERLAP = "overlap"
    """A test of the run shows the picture, whatever it asks about it."""
    OVERLAP_QUESTION = "overlap-question"
    """A test of the run asks the same about the picture."""


class DataCheck(Frozen):
    """Counts over the records that were looked at, and the first problems."""

    records: dict[str, int] = {}
    """Records that the run uses, by split."""
    skipped: int = 0
    """Records that cannot be used and were left out."""
    problems: tuple[str, ...] = ()
    """The first of those, each by file and line."""
    repeated: int = 0
    """Records of each kind of `data.drop`, left out or not."""
    shared: int = 0
    near: int = 0
    overlap: dict[str, int] = {}
    """Records that train or validate and whose picture a test shows, by test."""
    overlap_questions: dict[str, int] = {}
    """Those whose question about it the test asks as well."""
    dropped: int = 0
    """Records that `data.drop` left out."""

    @property
    def remarkable(self) -> bool:
        """Whether there is anything to say but how many records there are."""
        return bool(self.skipped or self.repeated or self.shared or self.near or self.overlap or self.dropped)


def check_lines(check: DataCheck | None) -> tuple[str, ...]:
    """What people should know of a run's data, a sentence a line; empty where nothing is remarkable."""
    if check is None or not check.remarkable:
        return ()
    found = []
    if check.skipped:
        more = f"; and {check.skipped - len(check.problems)} more" if check.skipped > len(check.problems) else ""
        found.append(
            f"{check.skipped} records were left out, since they cannot be used: {'; '.join(check.problems)}{more}."
        )
    for count, what in (
        (check.repeated, "are repeated in their split"),
        (check.shared, "are in a test or an earlier split too"),
        (check.near, "repeat a question and answer about a picture that looks the same"),
    ):
        if count:
            found.append(f"{count} records {what}.")
    for name, count in check.overlap.items():
        both = check.overlap_questions.get(name, 0)
        found.append(f"{count} records for training or validation show a picture of {name}, {both} with its question.")
    if check.dropped:
        found.append(f"{check.dropped} of these were left out by data.drop.")
    return tuple(found)
