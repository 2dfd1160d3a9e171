"""Gives the GPUs in turns: asks the database what there is to do, the cluster what is there, and applies the rule."""

from collections.abc import Mapping
from dataclasses import replace

from mstar.evolution import RunState
from mstar.steps import Queue
from mstar_coordinator.cluster.interface import COMPONENTS, TURNS, Cluster, GpuTurn, Pods
from mstar_coordinator.scheduler.gpu_turn_rule import held_up_by, next_turn
from mstar_coordinator.scheduler.ports import Clock
from mstar_coordinator.scheduler.run_lifecycle import RunLifecycle
from mstar_coordinator.store.database import Store


class GpuTurns:
    """Opens a queue while its service has the GPUs.

    What it decides by comes from store and cluster, each time; it remembers only since when a turn is held up.
    """

    def __init__(
        self, store: Store, lifecycle: RunLifecycle, cluster: Cluster, clock: Clock, stuck_seconds: float
    ) -> None:
        """`stuck_seconds`: how long a turn may be held up before `problem` says by what."""
        self._store = store
        self._lifecycle = lifecycle
        self._cluster = cluster
        self._clock = clock
        self._stuck_seconds = stuck_seconds
        self._turn = GpuTurn(None, opened=False)
        self._held_up_by: tuple[Queue, ...] = ()
        self._since = 0.0
        self.problem: str | None = None
        """Which pods hold a turn up for too long, and why."""

    def is_open(self, queue: Queue) -> bool:
        """Whether task messages for a queue's steps may be sent. Those of train steps are not where a Job does them."""
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
        self._turn = GpuTurn(None, opened=False)
        pods = dict(self._cluster.pods())
        if not self._cluster.jobs:
            # A worker that always waits asks for the GPUs as long as it has a step, and only then.
            pods[Queue.TRAIN] = replace(pods[Queue.TRAIN], asked=demand.get(Queue.TRAIN, 0) > 0)
        turn = next_turn(demand, pods, active=active)
        self._look_after(held_up_by(turn, demand, pods), pods)
        for queue in (Queue.ROLLOUT, Queue.SCORE):
            self._cluster.scale(queue, up=queue is turn.holder)
        if self._cluster.jobs and turn.holder is Queue.TRAIN and due and not pods[Queue.TRAIN].there:
            self._train(due[0].id, epoch)
        self._turn = turn

    def _train(self, step_id: str, epoch: int) -> None:
        ended = self._cluster.start_training(step_id, epoch)
        if ended is not None:
            # Counted as an attempt, so that the next one has a name of its own and a run does not try for ever.
            self._lifecycle.end_unclaimed(step_id, epoch, ended)

    def _look_after(self, queues: tuple[Queue, ...], pods: Mapping[Queue, Pods]) -> None:
        if queues != self._held_up_by:
            self._held_up_by, self._since = queues, self._clock()
        waited = self._clock() - self._since
        self.problem = None
        if queues and waited >= self._stuck_seconds:
            waits = "; ".join(_pods_waited_for(queue, pods[queue]) for queue in queues)
            self.problem = f"the turn on the GPUs has been held up for {waited / 60:.0f} minutes: {waits}"


def _pods_waited_for(queue: Queue, pods: Pods) -> str:
    words = pods.waiting or ("no pod is there" if not pods.there else "it must give the GPUs up first")
    return f"{COMPONENTS[queue]} has {pods.ready} of {pods.wanted} ready ({words})"
