"""Gives the GPUs in turns: asks the truth what there is to do and the cluster what is there, and applies the rule."""

from dataclasses import replace

from mstar.evolution import RunState
from mstar.phases import TURNS, Turn, next_turn
from mstar.steps import Queue
from mstar_coordinator.cluster.interface import Cluster
from mstar_coordinator.store.database import Store


class Turns:
    """Opens a queue while its service has the GPUs. Everything it knows comes from store and cluster, each time."""

    def __init__(self, store: Store, cluster: Cluster) -> None:
        self._store = store
        self._cluster = cluster
        self._turn = Turn(None, opened=False)

    def is_open(self, queue: Queue) -> bool:
        """Whether hints for a queue's steps may be sent. Those of train steps are not where a Job does them."""
        if queue not in TURNS:
            return True
        in_job = queue is Queue.TRAIN and self._cluster.jobs
        return self._turn.opened and self._turn.holder is queue and not in_job

    def advance(self) -> None:
        """Look, decide, and ask the cluster for what follows. Raises Unavailable when it does not answer."""
        with self._store.reading() as tx:
            demand = tx.steps.demand()
            active = tx.runs.tally().get(RunState.RUNNING, 0) > 0
            due = tx.steps.due(Queue.TRAIN, 1)
            epoch = tx.steps.get(due[0].id).epoch if due else 0
        # Closed until the cluster has answered: a queue must not stay open on what was true before.
        self._turn = Turn(None, opened=False)
        pods = dict(self._cluster.pods())
        if not self._cluster.jobs:
            # A worker that always waits asks for the GPUs as long as it has a step, and only then.
            pods[Queue.TRAIN] = replace(pods[Queue.TRAIN], asked=demand.get(Queue.TRAIN, 0) > 0)
        turn = next_turn(demand, pods, active=active)
        for queue in (Queue.ROLLOUT, Queue.SCORE):
            self._cluster.scale(queue, up=queue is turn.holder)
        if self._cluster.jobs and turn.holder is Queue.TRAIN and due and not pods[Queue.TRAIN].there:
            self._cluster.start_training(due[0].id, epoch)
        self._turn = turn
