"""The states of a study as a job, and what may follow what."""

from enum import StrEnum

from mstar.errors import IllegalTransition


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
    try:
        return _TRANSITIONS[state, event]
    except KeyError:
        allowed = sorted(e.value for s, e in _TRANSITIONS if s is state)
        raise IllegalTransition(
            f"cannot {event.value} a study that is {state.value}; possible now: {', '.join(allowed) or 'nothing'}"
        ) from None
