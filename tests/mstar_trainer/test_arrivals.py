"""Inputs that come during a step are handed to ranks that work, and to ranks that wait."""

import queue

import pytest

from mstar.api.steps import Arrivals, Claim, StepInput
from mstar.errors import Unavailable
from mstar_trainer.arrivals import POLL, Line, StreamedInputs, next_line
from mstar_worker.stop import Preempted
from trainer_bench import Bench

NAMES = ("it01/select/0000", "it01/select/0001", "it01/select/0002")


class HandClock:
    """A clock that goes on by `step` seconds each time that somebody looks at it."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def whole(bench: Bench) -> Claim:
    for number, name in enumerate(NAMES):
        bench.put_rows(name, bench.selected(1, seed=number))
    return bench.claim("it01/train", NAMES)


def begun(whole: Claim) -> Claim:
    """The claim when its first shard is there."""
    return whole.model_copy(update={"inputs": {NAMES[0]: whole.inputs[NAMES[0]]}})


def said(*lines: str) -> "queue.SimpleQueue[Line]":
    replies: queue.SimpleQueue[Line] = queue.SimpleQueue()
    for line in lines:
        replies.put((0, line))
    return replies


def test_ranks_that_report_step_after_step_are_given_what_comes(whole: Claim) -> None:
    given: list[dict[str, StepInput]] = []
    stream = StreamedInputs(
        begun(whole), lambda: Arrivals(inputs={NAMES[1]: whole.inputs[NAMES[1]]}, coming=True), HandClock(POLL / 3)
    )
    replies = said("1", "2", "3")
    assert [next_line(replies, stream, 60, given.append)[1] for _ in range(3)] == ["1", "2", "3"]
    assert given[0] == {NAMES[1]: whole.inputs[NAMES[1]]} and stream.missing == {NAMES[2]}


def test_ranks_that_wait_are_given_what_comes(whole: Claim) -> None:
    replies = said()
    rest = {name: whole.inputs[name] for name in NAMES[1:]}
    stream = StreamedInputs(begun(whole), lambda: Arrivals(inputs=rest, coming=True))
    assert next_line(replies, stream, 60, lambda inputs: replies.put((0, ",".join(sorted(inputs))))) == (
        0,
        ",".join(NAMES[1:]),
    )
    with pytest.raises(Unavailable, match="said nothing for 0 s"):
        next_line(replies, stream, 0.01, lambda inputs: None)


def test_nobody_is_asked_more_often_than_agreed(whole: Claim) -> None:
    clock, asked = HandClock(0), []
    stream = StreamedInputs(begun(whole), lambda: asked.append(clock.now) or Arrivals(inputs={}, coming=True), clock)
    replies = said(*map(str, range(40)))
    for _ in range(40):
        clock.now += POLL / 4
        next_line(replies, stream, 60, lambda inputs: None)
    assert 8 <= len(asked) <= 10


def test_a_coordinator_that_is_away_loses_nothing_and_a_pause_gives_the_step_up(whole: Claim) -> None:
    answers = [Unavailable("restarting"), Arrivals(inputs={}, coming=False)]

    def ask() -> Arrivals:
        answer = answers.pop(0)
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    stream = StreamedInputs(begun(whole), ask)
    assert stream.arrived() == {}
    with pytest.raises(Preempted):
        stream.arrived()
