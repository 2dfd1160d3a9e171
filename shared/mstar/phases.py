"""Whose turn it is on GPUs that policy, PRM and trainer share: facts → decision, with no clock and no memory.

A run alternates between sampling, scoring and training, so on shared GPUs one of them at a time has pods. Who has the
turn keeps it while it has work; then its pods end, and only when they are gone do the next one's begin. What this
leaves out: the cluster (`mstar_coordinator.cluster`) and where the facts come from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mstar.steps import Queue


class GpuSharing(StrEnum):
    """How the services come by their GPUs."""

    DEDICATED = "dedicated"
    """Each has its own, all the time."""
    SCALE_TO_ZERO = "scaleToZero"
    """They take turns; who has none has no pods."""
    COLOCATED = "colocated"
    """They take turns; who has none sleeps in place."""


TURNS = (Queue.TRAIN, Queue.SCORE, Queue.ROLLOUT)
"""Queues whose steps need a GPU. Earlier ones go first, so that what was begun ends before more is begun."""


@dataclass(frozen=True)
class Pods:
    """What a queue's service has on the cluster."""

    asked: bool = False
    """Whether pods are asked for: replicas above 0, or a Job that has not ended."""
    there: int = 0
    """Pods that may hold a GPU, also those that are starting or ending."""
    ready: int = 0
    """Those of them that can be given work: they live and answer, whether or not weights are loaded yet."""
    wanted: int = 1
    """How many it has while it has the turn."""
    waiting: str = ""
    """Why those that are there are neither ready nor gone, in words."""


@dataclass(frozen=True)
class Turn:
    """Who may have pods now."""

    holder: Queue | None
    """Everyone else must have none; None while nobody may begin."""
    opened: bool
    """Whether the holder's steps can be handed out: all of its pods are ready, since a step may need each of them."""


def next_turn(demand: Mapping[Queue, int], pods: Mapping[Queue, Pods], *, active: bool) -> Turn:
    """Decide from the steps that are due or under way for each queue, and from the pods that are there.

    `active`: a run is going on, so that pods without work are kept until another needs the GPUs.
    """
    wanted = _wanted(demand, pods, active)
    if wanted is None or any(pods[queue].there for queue in TURNS if queue is not wanted):
        return Turn(None, opened=False)
    return Turn(wanted, opened=pods[wanted].asked and pods[wanted].ready >= pods[wanted].wanted)


def held_up_by(turn: Turn, demand: Mapping[Queue, int], pods: Mapping[Queue, Pods]) -> tuple[Queue, ...]:
    """Whose pods keep the work waiting: the holder's that are not ready, or those that must go first; none at work."""
    if turn.opened or not any(demand.get(queue) for queue in TURNS):
        return ()
    return tuple(queue for queue in TURNS if pods[queue].there) if turn.holder is None else (turn.holder,)


def _wanted(demand: Mapping[Queue, int], pods: Mapping[Queue, Pods], active: bool) -> Queue | None:
    asked = [queue for queue in TURNS if pods[queue].asked]
    busy = next((queue for queue in asked if demand.get(queue)), None)
    needed = next((queue for queue in TURNS if demand.get(queue)), None)
    idle = asked[0] if asked and active else None
    return busy or needed or idle
