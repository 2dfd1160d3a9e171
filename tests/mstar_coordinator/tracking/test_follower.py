"""What trackers are sent of runs that go on, end, fail, are deleted, and go on after a restart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from coordinator_bench import HandClock
from mstar.api.samples import QuestionSamples
from mstar.errors import NotFound
from mstar.evolution import RunState
from mstar.recipes import parse_recipe
from mstar.results import IterationResult, Milestone, RunResults, SweepResult
from mstar.trackers import Tracker
from mstar_coordinator.tracking.follower import TrackerFollower
from mstar_coordinator.tracking.scalars import Scalar, scalars


def iteration(index: int, **more: Any) -> IterationResult:
    numbers = {"temperature": 1.0, "sampled_accuracy": 0.5, "questions": 4, "responses": 8, "kept": 3}
    return IterationResult(index=index, weight_version="p@1", **numbers, **more)


def results(*iterations: IterationResult, state: RunState = RunState.RUNNING, **more: Any) -> RunResults:
    recipe = parse_recipe({"name": "bars", "tracking": ["mlflow"]})
    return RunResults(id="run-1", name="bars", state=state, recipe=recipe, iterations=iterations, **more)


class Kept:
    """A tracker that keeps what it is sent, or is away."""

    def __init__(self) -> None:
        self.points: list[Scalar] = []
        self.tables: list[int] = []
        self.opened: list[tuple[Tracker, str]] = []
        self.ends: list[bool] = []
        self.left = 0
        self.away = False

    def open(self, tracker: Tracker, run_id: str, name: str, recipe: dict[str, Any]) -> "Kept":
        self.opened.append((tracker, run_id))
        return self

    def log(self, points: Sequence[Scalar]) -> None:
        if self.away:
            raise OSError("no route to host")
        self.points += points

    def table(self, name: str, step: int, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.tables.append(step)

    def close(self, *, failed: bool) -> None:
        self.ends.append(failed)

    def leave(self) -> None:
        self.left += 1
        if self.away:
            raise OSError("still no route to host")


class Runs:
    """One run, as the coordinator would show it."""

    def __init__(self) -> None:
        self.now: RunResults | None = results()

    def running(self) -> list[str]:
        return ["run-1"] if self.now is not None and self.now.state is RunState.RUNNING else []

    def results(self, run_id: str) -> RunResults:
        if self.now is None:
            raise NotFound("deleted")
        return self.now

    def samples(self, run_id: str, index: int) -> list[QuestionSamples]:
        return []


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def kept() -> Kept:
    return Kept()


def follower(
    folder: Path, runs: Runs, kept: Kept, always: Sequence[Tracker] = (), clock: HandClock | None = None
) -> TrackerFollower:
    clock = clock or HandClock()
    return TrackerFollower(folder, runs.running, runs.results, runs.samples, kept.open, always, clock=clock)


def test_names_axes_and_values() -> None:
    found = scalars(
        results(
            iteration(1, greedy=0.25, losses=(2.0, 1.0)),
            iteration(2, greedy=0.5, sets={"hard": 0.1}, losses=(0.5,)),
            test={"base": Milestone(id=0.1, ood=None, by_task={}), "final": Milestone(id=0.5, ood=0.4, by_task={})},
            sweeps=(SweepResult(iteration=1, curve={"0.7": 0.3}, chosen=0.7),),
        )
    )
    points = {(one.name, one.axis, one.step): one.value for one in found}
    assert len(points) == len(found)
    assert points[("base/accuracy_id", "iteration", 0)] == 0.1 and ("base/accuracy_ood", "iteration", 0) not in points
    assert points[("eval/accuracy_id", "iteration", 2)] == points[("final/accuracy_id", "iteration", 2)] == 0.5
    assert points[("eval/accuracy_hard", "iteration", 2)] == 0.1
    assert [points[("train/loss", "update", step)] for step in (1, 2, 3)] == [2.0, 1.0, 0.5]
    assert points[("sweep/at_T0.7", "iteration", 1)] == 0.3


def test_only_what_is_new_is_sent_also_after_a_restart(tmp_path: Path, runs: Runs, kept: Kept) -> None:
    runs.now = results(iteration(1))
    one = follower(tmp_path, runs, kept)
    one.tick()
    sent = len(kept.points)
    assert sent > 0 and kept.tables == [1]
    one.tick()
    assert len(kept.points) == sent
    runs.now = results(iteration(1, greedy=0.25), state=RunState.SUCCEEDED)
    # Another process: the end came while nobody was there.
    other = follower(tmp_path, runs, kept)
    other.tick()
    assert [point.name for point in kept.points[sent:]] == ["eval/accuracy_id"] and kept.tables == [1]
    assert kept.ends == [False]
    other.tick()
    assert kept.ends == [False] and len(kept.opened) == 2


def test_a_run_that_is_extended_goes_on_in_its_tracker(tmp_path: Path, runs: Runs, kept: Kept) -> None:
    own = follower(tmp_path, runs, kept)
    own.tick()
    runs.now = results(iteration(1), state=RunState.SUCCEEDED)
    own.tick()
    runs.now = results(iteration(1), iteration(2))
    own.tick()
    assert kept.tables == [1, 2] and len(kept.opened) == 2 and kept.ends == [False]
    runs.now = results(iteration(1), iteration(2), state=RunState.FAILED)
    own.tick()
    assert kept.ends == [False, True]


def test_a_tracker_that_is_away_gets_everything_when_it_is_back(tmp_path: Path, runs: Runs, kept: Kept) -> None:
    runs.now, kept.away = results(iteration(1)), True
    clock = HandClock()
    own = follower(tmp_path, runs, kept, clock=clock)
    own.tick()
    assert kept.points == []
    kept.away = False
    clock.pass_(5)
    own.tick()
    assert len(kept.points) == len(scalars(runs.now))


def test_a_tracker_that_fails_is_left_each_time_and_tried_ever_less_often(
    tmp_path: Path, runs: Runs, kept: Kept
) -> None:
    runs.now, kept.away = results(iteration(1)), True
    clock = HandClock()
    own = follower(tmp_path, runs, kept, clock=clock)
    tries: list[int] = []
    for second in range(0, 2000, 5):
        own.tick()
        if len(kept.opened) > len(tries):
            tries.append(second)
        clock.pass_(5)
    assert tries == [0, 5, 15, 35, 75, 155, 315, 615, 915, 1215, 1515, 1815]
    assert kept.left == len(tries)


def test_what_is_held_for_a_deleted_run_is_freed(tmp_path: Path, runs: Runs, kept: Kept) -> None:
    runs.now = results(iteration(1))
    own = follower(tmp_path, runs, kept)
    own.tick()
    runs.now = None
    own.tick()
    assert kept.left == 1 and kept.ends == []


def test_a_deleted_run_is_forgotten(tmp_path: Path, runs: Runs, kept: Kept) -> None:
    own = follower(tmp_path, runs, kept)
    own.tick()
    assert list(tmp_path.iterdir())
    runs.now = None
    own.tick()
    assert not list(tmp_path.iterdir())


def test_trackers_of_the_settings_have_every_run(tmp_path: Path, runs: Runs, kept: Kept) -> None:
    follower(tmp_path, runs, kept, (Tracker.TENSORBOARD, Tracker.MLFLOW)).tick()
    assert [tracker for tracker, _ in kept.opened] == [Tracker.MLFLOW, Tracker.TENSORBOARD]
