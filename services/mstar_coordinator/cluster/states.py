"""What Kubernetes says of pods, and of the Jobs and their like that train, in words for the operator.

Pods are the client's objects, Jobs plain dictionaries. What this leaves out: asking for them (`kubernetes`).
"""

from collections.abc import Iterable
from typing import Any

ENDED = ("Succeeded", "Failed")
"""Phases in which a pod holds no GPU any more."""
FINISHED = ("Complete", "Completed", "Failed")
"""Conditions of a Job, a JobSet or a TrainJob that does nothing more."""
LETTERS = 300
"""Of a message, at most: an event is read by people."""


def is_ready(pod: Any) -> bool:
    """Ready, and not on its way out."""
    conditions = pod.status.conditions or []
    return pod.metadata.deletion_timestamp is None and any(c.type == "Ready" and c.status == "True" for c in conditions)


def waiting(pods: Iterable[Any]) -> str:
    """Of each pod that is neither ready nor gone, what it waits for."""
    return "; ".join(_waits_for(pod) for pod in pods if not is_ready(pod))


def _waits_for(pod: Any) -> str:
    name, phase = pod.metadata.name, pod.status.phase
    if pod.metadata.deletion_timestamp is not None:
        return f"{name} has not ended yet"
    for status in pod.status.container_statuses or []:
        if status.state is not None and status.state.waiting is not None:
            return (
                f"{name} is {phase}, {_reason_and_message(status.state.waiting.reason, status.state.waiting.message)}"
            )
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            return f"{name} is {phase}, {_reason_and_message(condition.reason, condition.message)}"
    return f"{name} is {phase} and not ready"


def end_of(job: dict[str, Any]) -> str | None:
    """How a Job or what stands for one finished; None while it goes on."""
    for condition in job.get("status", {}).get("conditions", ()):
        if condition["type"] in FINISHED and condition["status"] == "True":
            return _reason_and_message(condition["type"], condition.get("message") or condition.get("reason"))
    return None


def last_words(pods: Iterable[Any]) -> str:
    """What the first container that failed left, such as the last lines of its log."""
    for pod in pods:
        for status in pod.status.container_statuses or []:
            ended = None if status.state is None else status.state.terminated
            if ended is not None and ended.exit_code:
                # The end of a log tells more than its beginning.
                message = (ended.message or "")[-LETTERS:]
                why = _reason_and_message(ended.reason, message)
                return f"{pod.metadata.name} ended with exit code {ended.exit_code}, {why}"
    return ""


def _reason_and_message(reason: str | None, message: str | None) -> str:
    return ": ".join(part.strip()[:LETTERS] for part in (reason, message) if part)
