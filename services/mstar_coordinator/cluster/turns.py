"""Gives the GPUs in turns: asks the truth what there is to do and the cluster what is there, and applies the rule."""

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
        """Whether hints for a queue's steps may be sent. Train steps never are: a Job does them."""
        if queue not in TURNS:
            return True
        return self._turn.opened and self._turn.holder is queue and queue is not Queue.TRAIN

    def advance(self) -> None:
        """Look, decide, and ask the cluster for what follows. Raises Unavailable when it does not answer."""
        with self._store.reading() as tx:
            demand = tx.steps.demand()
            active = tx.runs.tally().get(RunState.RUNNING, 0) > 0
            due = tx.steps.due(Queue.TRAIN, 1)
            epoch = tx.steps.get(due[0].id).epoch if due else 0
        # Closed until the cluster has answered: a queue must not stay open on what was true before.
        self._turn = Turn(None, opened=False)
        pods = self._cluster.pods()
        turn = next_turn(demand, pods, active=active)
        for queue in (Queue.ROLLOUT, Queue.SCORE):
            self._cluster.scale(queue, up=queue is turn.holder)
        if turn.holder is Queue.TRAIN and due and not pods[Queue.TRAIN].there:
            self._cluster.start_training(due[0].id, epoch)
        self._turn = turn
