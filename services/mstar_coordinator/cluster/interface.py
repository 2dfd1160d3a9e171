"""What taking turns needs of a cluster. Adapters: `kubernetes_cluster`, and `in_place` for services that sleep."""

from collections.abc import Mapping
from typing import Protocol

from mstar.phases import Pods
from mstar.steps import Queue

COMPONENTS = {Queue.ROLLOUT: "policy", Queue.SCORE: "prm", Queue.TRAIN: "trainer"}
"""What people call the service of each queue that needs a GPU."""


class Cluster(Protocol):
    """Pods of policy, PRM and trainer. Every call raises Unavailable when the cluster does not answer."""

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
