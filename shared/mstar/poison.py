"""When a question counts as one that crashes every worker that works on it, and is left out of its run.

A shard that has failed twice is done carefully: one question after another, each named to the coordinator before it is
begun. The question at which such an attempt ends becomes a suspect. Suspects come last in the next attempt, so one that
ends it again does so after all others have succeeded; then it is quarantined. A worker that dies for another reason
makes a suspect of an innocent question, which succeeds the next time. Where not one question of several succeeds, it is
not a question that is at fault; nor is it for an artefact that is gone, a full disk or a key that is refused.
"""

from collections.abc import Collection
from enum import StrEnum

from mstar.errors import (
    CorruptArtefact,
    Forbidden,
    MissingArtefact,
    NotFound,
    NotWritable,
    StorageFull,
    Unauthenticated,
)

CAREFUL_AFTER = 2
"""Failed attempts of a shard before its questions are done one at a time, which is slower."""
MOST_SUSPECTS = 8
"""Of one shard. More means that something else than a question is at fault."""
MOST_QUARANTINED = 3
"""Of one shard: a run that goes on without many of its questions is no longer the run that was asked for."""

OTHER_CAUSES = frozenset(
    error.code
    for error in (CorruptArtefact, Forbidden, MissingArtefact, NotFound, NotWritable, StorageFull, Unauthenticated)
)
"""Codes of errors that no question brings about."""


class Suspicion(StrEnum):
    """What the end of a careful attempt says about the question in hand."""

    SUSPECT = "suspect"
    QUARANTINE = "quarantine"
    NOTHING = "nothing"


def judge(
    question: str | None, suspects: Collection[str], quarantined: int, done: int = 0, total: int = 0
) -> Suspicion:
    """What to make of an attempt that ended at this question, given the shard's suspects and count of quarantined.

    `done`, `total`: questions of the shard that had succeeded in the attempt, and all that it had to do.
    SUSPECT and QUARANTINE bring the search forward, so such an attempt does not count against the step.
    """
    if question is None:
        return Suspicion.NOTHING
    # Suspects come last, so all other questions of the shard have succeeded in this attempt, unless all are suspects.
    if question in suspects:
        if total > 1 and not done:
            return Suspicion.NOTHING
        return Suspicion.QUARANTINE if quarantined < MOST_QUARANTINED else Suspicion.NOTHING
    return Suspicion.SUSPECT if len(suspects) < MOST_SUSPECTS else Suspicion.NOTHING
