"""What taking turns on GPUs needs of a cluster: pods as facts, turns as decisions, and the calls that act on them.

Adapters: `kubernetes` for pods that come and go, `in_place` for services that sleep and wake.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mstar.steps import Queue

COMPONENTS = {Queue.ROLLOUT: "policy", Queue.SCORE: "prm", Queue.TRAIN: "trainer"}
"""What people call the service of each queue that needs a GPU."""

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
class GpuTurn:
    """Who may have pods now."""

    holder: Queue | None
    """Everyone else must have none; None while nobody may begin."""
    opened: bool
    """Whether the holder's steps can be handed out: all of its pods are ready, since a step may need each of them."""


class Cluster(Protocol):
    """Pods of policy, PRM and trainer. Every call raises Unavailable when the cluster does not answer."""

    # Where it is true, `GpuTurns` sends no messages for train steps: the Job claims its step by itself.
    jobs: bool
    """Whether each training is a Job, begun by `start_training`; else a worker takes the step from its queue."""

    def pods(self) -> Mapping[Queue, Pods]:
        """What is there for each queue that needs a GPU."""

    def scale(self, queue: Queue, *, up: bool) -> None:
        """Ask for all pods of policy or PRM, or for none; returns before they are there."""

    def start_training(self, step_id: str, epoch: int) -> str | None:
        """Begin a Job that does this train step, unless there is one for this step and epoch already.

        Returns how that one ended, or None while there is more to come from it.
        """

    def close(self) -> None:
        """Give up the connection."""
