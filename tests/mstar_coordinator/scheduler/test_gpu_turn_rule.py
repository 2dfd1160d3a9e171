"""GpuTurns on shared GPUs: a table, and what holds whatever pods and work do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.steps import Queue
from mstar_coordinator.cluster.interface import TURNS, GpuTurn, Pods
from mstar_coordinator.scheduler.gpu_turn_rule import held_up_by, next_turn

POLICY, PRM, TRAINER = Queue.ROLLOUT, Queue.SCORE, Queue.TRAIN
GONE, ASKED, UP = Pods(), Pods(asked=True), Pods(asked=True, there=1, ready=1)
ONE_OF_TWO, TWO = (Pods(asked=True, there=2, ready=ready, wanted=2) for ready in (1, 2))
STARTING, ENDING = Pods(asked=True, there=1), Pods(there=1)
NOBODY = GpuTurn(None, opened=False)

TABLE = {
    "nothing to do and no run: no pods": ({}, {POLICY: UP}, False, NOBODY),
    "nothing to do in a run: pods stay": ({}, {POLICY: UP}, True, GpuTurn(POLICY, opened=True)),
    "first work": ({POLICY: 3}, {}, True, GpuTurn(POLICY, opened=False)),
    "its pods start": ({POLICY: 3}, {POLICY: STARTING}, True, GpuTurn(POLICY, opened=False)),
    "its pods answer": ({POLICY: 3}, {POLICY: UP}, True, GpuTurn(POLICY, opened=True)),
    "one of two answers": ({POLICY: 3}, {POLICY: ONE_OF_TWO}, True, GpuTurn(POLICY, opened=False)),
    "both answer": ({POLICY: 3}, {POLICY: TWO}, True, GpuTurn(POLICY, opened=True)),
    "who has work keeps the turn": ({POLICY: 1, PRM: 5, TRAINER: 1}, {POLICY: UP}, True, GpuTurn(POLICY, opened=True)),
    "the next waits until the pods before are gone": ({PRM: 5}, {POLICY: UP}, True, NOBODY),
    "also those that end": ({PRM: 5}, {POLICY: ENDING}, True, NOBODY),
    "then it begins": ({PRM: 5}, {POLICY: GONE}, True, GpuTurn(PRM, opened=False)),
    "training goes before more sampling": ({POLICY: 9, TRAINER: 1}, {}, True, GpuTurn(TRAINER, opened=False)),
    "after an install all are asked for": ({POLICY: 1}, dict.fromkeys(TURNS, UP), True, NOBODY),
    "and none is there any more": ({POLICY: 1}, {POLICY: UP, PRM: GONE}, True, GpuTurn(POLICY, opened=True)),
    "a paused run has no demand": ({}, {TRAINER: ENDING}, False, NOBODY),
}


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE.keys())
def test_turns(case: tuple[dict[Queue, int], dict[Queue, Pods], bool, GpuTurn]) -> None:
    demand, pods, active, expected = case
    assert next_turn(demand, {queue: pods.get(queue, GONE) for queue in TURNS}, active=active) == expected


@pytest.mark.parametrize(
    ("demand", "pods", "expected"),
    [
        ({POLICY: 3}, {POLICY: UP}, ()),
        ({POLICY: 3}, {POLICY: STARTING}, (POLICY,)),
        ({POLICY: 3}, {POLICY: ONE_OF_TWO}, (POLICY,)),
        ({TRAINER: 1}, {}, (TRAINER,)),
        ({TRAINER: 1}, {PRM: ENDING}, (PRM,)),
        ({PRM: 5}, dict.fromkeys(TURNS, UP), TURNS),
        ({}, {POLICY: STARTING}, ()),
        ({Queue.CONTROL: 1}, {POLICY: STARTING}, ()),
    ],
)
def test_who_holds_work_up(demand: dict[Queue, int], pods: dict[Queue, Pods], expected: tuple[Queue, ...]) -> None:
    there = {queue: pods.get(queue, GONE) for queue in TURNS}
    assert held_up_by(next_turn(demand, there, active=True), demand, there) == expected


class Cluster:
    """Pods that start and end some ticks after they are asked for."""

    def __init__(self, delays: list[int]) -> None:
        self.pods = dict.fromkeys(TURNS, GONE)
        self._delays = delays
        self._due: dict[Queue, int] = {}

    def apply(self, turn: GpuTurn) -> None:
        for queue in TURNS:
            before, asked = self.pods[queue], queue is turn.holder
            if before.asked is not asked:
                self._due[queue] = self._delays[len(self._due) % len(self._delays)]
                there = max(before.there, int(asked))
                self.pods[queue] = Pods(asked=asked, there=there, ready=0 if asked else before.ready)

    def tick(self) -> None:
        for queue, left in list(self._due.items()):
            self._due[queue] = left - 1
            if left <= 0:
                del self._due[queue]
                self.pods[queue] = UP if self.pods[queue].asked else GONE


@given(
    st.lists(st.tuples(st.sampled_from(TURNS), st.integers(1, 3)), min_size=1, max_size=8),
    st.lists(st.integers(0, 3), min_size=1, max_size=4),
)
def test_one_holder_at_a_time_and_all_work_gets_done(work: list[tuple[Queue, int]], delays: list[int]) -> None:
    cluster, demand, arriving = Cluster(delays), dict.fromkeys(TURNS, 0), list(work)
    changes, last = 0, None
    for tick in range(400):
        if arriving and tick % 5 == 0:
            queue, count = arriving.pop(0)
            demand[queue] += count
        turn = next_turn(demand, cluster.pods, active=True)
        ended = [queue for queue in TURNS if cluster.pods[queue].asked and queue is not turn.holder]
        assert not any(demand[queue] for queue in ended), "a turn ends only when its work is done"
        cluster.apply(turn)
        cluster.tick()
        assert sum(pods.there > 0 for pods in cluster.pods.values()) <= 1
        if turn.holder is not None and turn.holder is not last:
            changes, last = changes + 1, turn.holder
        if turn.opened and turn.holder is not None and demand[turn.holder]:
            demand[turn.holder] -= 1
    assert not any(demand.values())
    assert changes <= len(work), "no turn is given without work"
