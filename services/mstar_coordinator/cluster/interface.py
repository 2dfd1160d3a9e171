"""What taking turns needs of a cluster. Adapters: `kubernetes_cluster`, and `in_place` for services that sleep."""

from collections.abc import Mapping
from typing import Protocol

from mstar.phases import Pods
from mstar.steps import Queue


class Cluster(Protocol):
    """Pods of policy, PRM and trainer. Every call raises Unavailable when the cluster does not answer."""

    jobs: bool
    """Whether each training is a Job, begun by `start_training`; else a worker takes the step from its queue."""

    def pods(self) -> Mapping[Queue, Pods]:
        """What is there for each queue that needs a GPU."""

    def scale(self, queue: Queue, *, up: bool) -> None:
        """Ask for all pods of policy or PRM, or for none; returns before they are there."""

    def start_training(self, step_id: str, epoch: int) -> None:
        """Begin a Job that does this train step; nothing happens if there is one for this step and epoch already."""

    def close(self) -> None:
        """Give up the connection."""
