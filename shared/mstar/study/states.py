"""The states of a study as a job, and what may follow what."""

from enum import StrEnum

from mstar.transitions import next_state


class StudyState(StrEnum):
    """States of a study."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """All runs have ended, and some of them without a result."""
    CANCELLED = "cancelled"


class StudyEvent(StrEnum):
    """What can happen to a study."""

    CANCEL = "cancel"
    RESUME = "resume"


_TRANSITIONS = {
    (StudyState.RUNNING, StudyEvent.CANCEL): StudyState.CANCELLED,
    (StudyState.FAILED, StudyEvent.CANCEL): StudyState.CANCELLED,
    # CANCELLED has no RESUME: the study is started again, and its runs take over the steps that were done.
    (StudyState.FAILED, StudyEvent.RESUME): StudyState.RUNNING,
    # Runs that failed are tried again while the others go on.
    (StudyState.RUNNING, StudyEvent.RESUME): StudyState.RUNNING,
}


def study_transition(state: StudyState, event: StudyEvent) -> StudyState:
    """The state after an event. Raises IllegalTransition where the table has no entry."""
    return next_state(_TRANSITIONS, "study", state, event)
