"""A run as a state machine: state + event → next state."""

from enum import StrEnum

from mstar.transitions import next_state


class RunState(StrEnum):
    """States of a run."""

    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunEvent(StrEnum):
    """What can happen to a run."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    REPAIR = "repair"
    """Damaged artefacts are to be made again."""
    EXTEND = "extend"
    """One more iteration was asked for."""
    STEPS_DONE = "steps-done"
    STEP_FAILED = "step-failed"


_TRANSITIONS = {
    (RunState.RUNNING, RunEvent.PAUSE): RunState.PAUSED,
    (RunState.RUNNING, RunEvent.CANCEL): RunState.CANCELLED,
    (RunState.RUNNING, RunEvent.REPAIR): RunState.RUNNING,
    (RunState.RUNNING, RunEvent.EXTEND): RunState.RUNNING,
    (RunState.RUNNING, RunEvent.STEPS_DONE): RunState.SUCCEEDED,
    (RunState.RUNNING, RunEvent.STEP_FAILED): RunState.FAILED,
    (RunState.PAUSED, RunEvent.RESUME): RunState.RUNNING,
    (RunState.PAUSED, RunEvent.REPAIR): RunState.PAUSED,
    (RunState.PAUSED, RunEvent.CANCEL): RunState.CANCELLED,
    (RunState.PAUSED, RunEvent.EXTEND): RunState.PAUSED,
    (RunState.SUCCEEDED, RunEvent.REPAIR): RunState.RUNNING,
    # A failed run has no EXTEND: more iterations behind a step that cannot be done would change nothing.
    (RunState.SUCCEEDED, RunEvent.EXTEND): RunState.RUNNING,
    (RunState.FAILED, RunEvent.RESUME): RunState.RUNNING,
    (RunState.FAILED, RunEvent.REPAIR): RunState.RUNNING,
    (RunState.FAILED, RunEvent.CANCEL): RunState.CANCELLED,
}


def transition(state: RunState, event: RunEvent) -> RunState:
    """The state after an event. Raises IllegalTransition where the table has no entry."""
    return next_state(_TRANSITIONS, "run", state, event)
