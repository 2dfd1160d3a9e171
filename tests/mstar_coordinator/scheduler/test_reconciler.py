"""Task messages follow the database: windows, lost queues, a broker that is down, files of changed runs."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import yaml

from coordinator_bench import SMALL, Bench, MemoryPublisher, commit_of
from kept_spans import kept_spans
from mstar.api.steps import Release
from mstar.evolution import RunState
from mstar.recipes import GenerationRecipe, Recipe
from mstar.steps import Queue
from mstar.tracing import attempt_place
from mstar_coordinator.scheduler.reconciler import WINDOW, Reconciler

REPUBLISH = 5.0


@pytest.fixture
def publisher() -> MemoryPublisher:
    return MemoryPublisher()


@pytest.fixture
def reconciler(bench: Bench, publisher: MemoryPublisher) -> Reconciler:
    return Reconciler(
        bench.lifecycle,
        bench.store,
        bench.folders,
        publisher,
        bench.clock,
        bench.changed,
        REPUBLISH,
        0.05,
    )


@pytest.fixture
def running(reconciler: Reconciler) -> Iterator[Reconciler]:
    reconciler.start()
    yield reconciler
    reconciler.stop()


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the reconciler did not get there in time"
        time.sleep(0.01)


def test_a_due_step_is_published_once(bench: Bench, reconciler: Reconciler, publisher: MemoryPublisher) -> None:
    run_id = bench.lifecycle.create(SMALL)
    reconciler.tick()
    reconciler.tick()
    assert publisher.sent == [bench.step_id(run_id, "prepare")]


def test_hints_of_an_emptied_broker_are_sent_again(
    bench: Bench, reconciler: Reconciler, publisher: MemoryPublisher
) -> None:
    bench.lifecycle.create(SMALL)
    reconciler.tick()
    publisher.queues[Queue.CONTROL].clear()
    reconciler.tick()
    assert len(publisher.sent) == 1
    bench.clock.pass_(REPUBLISH)
    reconciler.tick()
    assert len(publisher.sent) == 2


def test_a_lost_hint_is_sent_again_though_the_clock_was_put_back(
    bench: Bench, reconciler: Reconciler, publisher: MemoryPublisher
) -> None:
    bench.lifecycle.create(SMALL)
    reconciler.tick()
    publisher.queues[Queue.CONTROL].clear()
    bench.clock.jump(-7200)
    bench.clock.pass_(REPUBLISH)
    reconciler.tick()
    assert len(publisher.sent) == 2


def test_hints_that_nobody_takes_do_not_pile_up(
    bench: Bench, reconciler: Reconciler, publisher: MemoryPublisher
) -> None:
    bench.lifecycle.create(SMALL)
    for _ in range(10):
        reconciler.tick()
        bench.clock.pass_(10 * REPUBLISH)
    assert len(publisher.sent) == 1


def test_a_long_stage_fills_a_queue_only_up_to_the_window(
    bench: Bench, reconciler: Reconciler, publisher: MemoryPublisher
) -> None:
    fine = Recipe.model_validate(SMALL.model_dump() | {"generation": GenerationRecipe(shard_questions=1)})
    wide = fine.model_copy(
        update={
            "warmup": fine.warmup and fine.warmup.model_copy(update={"questions": 2 * WINDOW}),
            "data": fine.data.model_copy(update={"train": 3 * WINDOW}),
        }
    )
    run_id = bench.lifecycle.create(wide)
    bench.do(bench.step_id(run_id, "prepare"))
    reconciler.tick()
    waiting = publisher.queues[Queue.ROLLOUT]
    assert len(waiting) == WINDOW
    bench.do(waiting.pop(0))
    reconciler.tick()
    assert len(waiting) == WINDOW and len(set(publisher.sent)) == len(publisher.sent)


def test_a_step_of_a_silent_worker_is_published_again(
    bench: Bench, reconciler: Reconciler, publisher: MemoryPublisher
) -> None:
    bench.lifecycle.create(SMALL)
    reconciler.tick()
    first = publisher.take()
    assert first is not None
    bench.lifecycle.claim(first, "w")
    bench.let_leases_run_out()
    reconciler.tick()
    assert publisher.take() == first


def test_paused_runs_get_no_hints(bench: Bench, reconciler: Reconciler, publisher: MemoryPublisher) -> None:
    run_id = bench.lifecycle.create(SMALL)
    bench.lifecycle.pause(run_id)
    reconciler.tick()
    assert publisher.sent == []
    bench.lifecycle.resume(run_id)
    reconciler.tick()
    assert len(publisher.sent) == 1


def test_a_broker_that_is_down_is_told_and_hinders_nothing_else(
    bench: Bench, reconciler: Reconciler, publisher: MemoryPublisher
) -> None:
    publisher.down = True
    run_id = bench.lifecycle.create(SMALL)
    reconciler.tick()
    assert reconciler.problem == "the broker is down"
    assert (bench.home / run_id / "results.json").exists()
    publisher.down = False
    reconciler.tick()
    assert reconciler.problem is None
    assert len(publisher.sent) == 1


def test_a_broker_that_neither_answers_nor_refuses_is_named(bench: Bench, publisher: MemoryPublisher) -> None:
    released = threading.Event()

    class HalfOpen(MemoryPublisher):
        def check(self) -> None:
            released.wait(20)

    bench.lifecycle.create(SMALL)
    stuck = Reconciler(
        bench.lifecycle,
        bench.store,
        bench.folders,
        HalfOpen(),
        bench.clock,
        bench.changed,
        REPUBLISH,
        0.05,
        patience_seconds=0.05,
    )
    stuck.start()
    wait_for(lambda: stuck.problem is not None and stuck.problem.startswith("the broker has not answered for"))
    released.set()
    wait_for(lambda: stuck.problem is None)
    stuck.stop()


def test_files_show_the_run_and_latest_points_at_the_newest(bench: Bench, reconciler: Reconciler) -> None:
    older = bench.lifecycle.create(SMALL)
    bench.clock.pass_(1)
    newer = bench.lifecycle.create(SMALL)
    reconciler.tick()
    assert (bench.home / "latest").resolve().name == newer
    assert Recipe.model_validate(yaml.safe_load((bench.home / older / "recipe.yaml").read_text())) == SMALL
    bench.work()
    reconciler.tick()
    shown = json.loads((bench.home / newer / "results.json").read_text())
    assert shown["state"] == "succeeded" and shown["iterations"][0]["greedy"] == 0.5
    assert (bench.home / "latest").resolve().name == newer


def test_a_recipe_that_was_lost_with_its_folder_is_written_again(bench: Bench) -> None:
    run_id = bench.lifecycle.create(SMALL)
    path = bench.home / run_id / "recipe.yaml"
    before = path.read_text()
    # As a power cut may leave it, and as somebody who tidies up.
    path.write_text("")
    bench.folders.refresh()
    assert path.read_text() == before
    shutil.rmtree(path.parent)
    bench.work()
    bench.folders.refresh()
    assert path.read_text() == before


def test_a_folder_that_cannot_be_written_holds_up_no_other(bench: Bench) -> None:
    first, second = bench.lifecycle.create(SMALL), bench.lifecycle.create(SMALL)
    # A folder that is not empty cannot be replaced by a file.
    (bench.home / first / "results.json" / "x").mkdir(parents=True)
    with pytest.raises(OSError, match=r"results\.json"):
        bench.folders.refresh()
    assert (bench.home / second / "results.json").is_file()


def test_files_are_rewritten_only_when_the_run_changed(bench: Bench, reconciler: Reconciler) -> None:
    run_id = bench.lifecycle.create(SMALL)
    reconciler.tick()
    before = (bench.home / run_id / "results.json").stat().st_ino
    reconciler.tick()
    assert (bench.home / run_id / "results.json").stat().st_ino == before
    bench.lifecycle.pause(run_id)
    reconciler.tick()
    assert (bench.home / run_id / "results.json").stat().st_ino != before


def test_the_thread_carries_a_run_to_its_end(bench: Bench, running: Reconciler, publisher: MemoryPublisher) -> None:
    run_id = bench.lifecycle.create(SMALL)

    def worked() -> bool:
        hint = publisher.take()
        if hint is not None:
            bench.lifecycle.commit(hint, commit_of(bench.lifecycle.claim(hint, "w")))
        return bench.run(run_id).state is RunState.SUCCEEDED

    wait_for(worked)
    assert len(publisher.sent) == len(set(publisher.sent))


def test_files_show_a_stage_of_shards_once_it_is_whole(bench: Bench, reconciler: Reconciler) -> None:
    run_id = bench.lifecycle.create(SMALL)

    def shown_after(name: str) -> bool:
        """Whether the commit of a step makes the files stale."""
        bench.work(until=lambda claim: claim.step.name == name)
        reconciler.tick()
        step = bench.steps(run_id)[name]
        bench.let_leases_run_out()
        bench.do(step.id)
        with bench.store.reading() as tx:
            return tx.runs.stale() == [run_id]

    shards = ("it01/select/0000", "it01/select/0001")
    assert [shown_after(name) for name in shards] == [False, True]
    bench.work()
    assert bench.run(run_id).state is RunState.SUCCEEDED


def test_stopping_leaves_the_files_up_to_date(bench: Bench, reconciler: Reconciler) -> None:
    reconciler.start()
    run_id = bench.lifecycle.create(SMALL)
    bench.work()
    reconciler.stop()
    assert json.loads((bench.home / run_id / "results.json").read_text())["state"] == "succeeded"


def test_a_queue_that_nobody_takes_from_is_named(
    bench: Bench, reconciler: Reconciler, publisher: MemoryPublisher
) -> None:
    run_id = bench.lifecycle.create(SMALL)
    step_id = bench.step_id(run_id, "prepare")
    reconciler.tick()
    bench.clock.pass_(29)
    reconciler.tick()
    assert reconciler.problem is None
    bench.clock.pass_(2)
    reconciler.tick()
    # Everybody may read it, also those who may not know that the run exists.
    assert reconciler.problem == "no worker takes from the queue control: step … waits for 31 s"
    bench.do(step_id)
    reconciler.tick()
    assert reconciler.problem is None


def test_a_queue_whose_worker_is_at_work_is_not_named(
    bench: Bench, reconciler: Reconciler, publisher: MemoryPublisher
) -> None:
    first, second = (bench.lifecycle.create(SMALL) for _ in range(2))
    bench.lifecycle.claim(bench.step_id(first, "prepare"), "w")
    for _ in range(3):
        reconciler.tick()
        bench.clock.pass_(60)
    assert bench.steps(second)["prepare"].state == "pending"
    assert reconciler.problem is None


class RefusingTurns:
    """GPU turns whose cluster refuses."""

    def __init__(self) -> None:
        self.problem: str | None = "Kubernetes refuses to create Job m-train-1: 403 Forbidden"

    def advance(self) -> None:
        """Nothing changes hands."""

    def is_open(self, queue: Queue) -> bool:
        return True


def test_runs_are_told_once_what_holds_the_gpus_up_and_when_it_is_over(
    bench: Bench, publisher: MemoryPublisher
) -> None:
    turns = RefusingTurns()
    parts = bench.lifecycle, bench.store, bench.folders, publisher, bench.clock, bench.changed, REPUBLISH
    reconciler = Reconciler(*parts, turns=turns)  # type: ignore[arg-type]
    run_id = bench.lifecycle.create(SMALL)
    for _ in range(3):
        reconciler.tick()
    assert reconciler.problem == turns.problem
    turns.problem = None
    reconciler.tick()
    with bench.store.reading() as tx:
        told = [(one.type, one.message) for one in tx.events.after(run_id, 1, 10)]
    assert told == [("run.held", "Kubernetes refuses to create Job m-train-1: 403 Forbidden"), ("run.freed", "")]


def fail(bench: Bench, run_id: str, reason: str) -> None:
    claim = bench.lifecycle.claim(bench.step_id(run_id, "prepare"), "w")
    bench.lifecycle.release(claim.step_id, Release(epoch=claim.epoch, error=reason, retryable=False))


def test_a_run_that_fails_has_a_report_with_the_reason_on_top(bench: Bench, reconciler: Reconciler) -> None:
    run_id = bench.lifecycle.create(SMALL)
    fail(bench, run_id, "line 3: no <answer>")
    reconciler.tick()
    report = bench.home / "latest" / "report.html"
    text = report.read_text()
    assert "This run failed" in text and "line 3: no &lt;answer&gt;" in text and f"mstar run resume {run_id}" in text
    assert text.index("line 3") < text.index("Results, in percent")
    assert json.loads((bench.home / run_id / "results.json").read_text())["artefacts"] == {"report": "report.html"}
    bench.lifecycle.resume(run_id)
    reconciler.tick()
    assert not report.exists()


def test_a_run_that_is_cancelled_has_a_report_as_well(bench: Bench, reconciler: Reconciler) -> None:
    run_id = bench.lifecycle.create(SMALL)
    bench.lifecycle.cancel(run_id)
    reconciler.tick()
    assert "was cancelled" in (bench.home / run_id / "report.html").read_text()


def test_the_report_that_a_worker_has_just_published_is_left_alone(bench: Bench, reconciler: Reconciler) -> None:
    run_id = bench.lifecycle.create(SMALL)
    own = bench.home / run_id / "report.html"
    own.write_text("<html>what the run published")
    bench.do(bench.step_id(run_id, "prepare"))
    reconciler.tick()
    assert own.read_text() == "<html>what the run published"


def test_scheduling_and_waiting_are_spans_of_the_steps_one_trace(
    bench: Bench, reconciler: Reconciler, publisher: MemoryPublisher
) -> None:
    run_id = bench.lifecycle.create(SMALL)
    step_id = bench.step_id(run_id, "prepare")
    with kept_spans() as kept:
        reconciler.tick()
        bench.clock.pass_(REPUBLISH + 1)
        publisher.queues[Queue.CONTROL].clear()
        reconciler.tick()
        claim = bench.lifecycle.claim(step_id, "w")
        bench.lifecycle.release(step_id, Release(epoch=claim.epoch, error="disk full"))
        reconciler.tick()
        bench.lifecycle.claim(step_id, "w")
    root, again = (f"{attempt_place(step_id, k).span_id:016x}" for k in (1, 2))
    found = [(one.name, one.parent, one.values["mstar.attempt"]) for one in kept.spans()]
    assert found == [
        ("schedule prepare", None, 1),
        ("schedule prepare", root, 1),
        ("wait in queue control", root, 1),
        ("schedule prepare", root, 2),
        ("wait in queue control", again, 2),
    ]
    assert [one.id for one in kept.named("schedule prepare")][::2] == [root, again]
    assert {one.trace for one in kept.spans()} == {f"{attempt_place(step_id).trace_id:032x}"}
    assert {(one.values["mstar.run"], one.values["mstar.step"]) for one in kept.spans()} == {(run_id, "prepare")}
