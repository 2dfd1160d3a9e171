"""Studies as jobs, on a bench: one run at a time, in the order of the seeds, and nothing equal is done twice."""

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import delete

from coordinator_bench import SMALL, Bench, commit_of
from mstar.api.steps import Claim, Release
from mstar.errors import Conflict, IdempotencyMismatch, IllegalTransition
from mstar.evolution import RunState
from mstar.recipes import Recipe
from mstar.steps import ArtefactRef, DoneResult
from mstar.study.plan import Study, parse_study
from mstar.study.states import StudyState
from mstar_artefacts.images import ImageStore
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.scheduler.removal import Removal
from mstar_coordinator.scheduler.repair import Findings, Repair
from mstar_coordinator.scheduler.reuse import Reuse
from mstar_coordinator.scheduler.run_lifecycle import RunLifecycle
from mstar_coordinator.scheduler.study_jobs import StudyJobs
from mstar_coordinator.store.database import Transaction
from mstar_coordinator.store.records import IdempotencyKey, StepRecord, StudyEntry
from mstar_coordinator.store.tables import study_runs

BASE: dict[str, Any] = json.loads(SMALL.model_dump_json())
VALUES: dict[str, Any] = {
    "name": "small",
    "base": BASE,
    "arms": {
        "continuous": {"prm": None, "evolution": {"selection": {"mode": "all"}}, "exploration": {"mode": "fixed"}},
        "top-2": {"evolution": {"iterations": 2}},
        "random-2": {"evolution": {"iterations": 2, "selection": {"mode": "random", "k": 2}}},
    },
    "seeds": [3, 4],
}


class StudyBench(Bench):
    """A bench whose worker leaves real artefacts, since what they hold decides what is shared."""

    def __init__(self, home: Path, code: str = "c0de") -> None:
        super().__init__(home)
        reuse = Reuse(self.artefacts, lambda: code)
        self.lifecycle = RunLifecycle(
            self.store, self.folders, self.clock, 20.0, self.changed, self.artefacts.discard, streaming=False,
            reuse=reuse,
        )  # fmt: skip
        self.repair = Repair(self.store, self.artefacts, ImageStore(home), self.lifecycle, self.folders.path)
        self.jobs = StudyJobs(
            self.store, self.lifecycle, self.repair, reuse, self.artefacts, lambda: code, self.changed
        )

    def entries(self, study_id: str) -> list[StudyEntry]:
        with self.store.reading() as tx:
            return tx.studies.entries(study_id)

    def state(self, study_id: str) -> StudyState:
        with self.store.reading() as tx:
            return tx.studies.get(study_id).state

    def work_off(self, until: str = "") -> list[str]:
        """Do what is due until nothing is, or until a step is due that stays so; the names of the steps done."""
        done = []
        while (due := self.due()) and not (until and any(self.step(one).name == until for one in due)):
            claim = self.lifecycle.claim(due[0], "w")
            self.clock.pass_(1)
            self.lifecycle.commit(claim.step_id, self.left(claim))
            done.append(claim.step.name)
        return done

    def step(self, step_id: str) -> StepRecord:
        with self.store.reading() as tx:
            return tx.steps.get(step_id)

    def left(self, claim: Claim) -> Any:
        commit = commit_of(claim)
        if claim.step.params.kind == "publish":
            # Nothing is left in the run's folder, so nothing of it can be missed there.
            return commit.model_copy(update={"result": DoneResult(left={})})
        if commit.artefact is None:
            return commit
        # What a step holds follows from what it reads, not from the run that it stands in.
        read = sorted(one.artefact.id.partition("/")[2] for one in claim.inputs.values() if one.artefact)
        content = json.dumps([claim.step.name, claim.recipe.seed, read]).encode()
        ref: ArtefactRef = self.artefacts.write(
            claim.output_id, lambda folder: (folder / "content").write_bytes(content) and None, {}
        )
        return commit.model_copy(update={"artefact": ref})


@pytest.fixture
def bench(home: Path) -> Iterator[StudyBench]:
    bench = StudyBench(home)
    yield bench
    bench.store.close()


def study(**changes: Any) -> Study:
    return parse_study(VALUES | changes)


def planned(plan: Study) -> list[tuple[str, Recipe]]:
    assert isinstance(plan.base, dict)
    return [(arm, plan.recipe(plan.base, arm, seed)) for arm, seed in plan.runs()]


def begin(bench: StudyBench, key: IdempotencyKey | None = None, **changes: Any) -> str:
    plan = study(**changes)
    return bench.jobs.create(plan, planned(plan), key)


def run_all(bench: StudyBench, study_id: str) -> dict[tuple[str, int], list[str]]:
    """Steps that each run of the study has done itself."""
    done = {}
    for _ in range(20):
        bench.jobs.advance()
        begun = [one for one in bench.entries(study_id) if one.state is RunState.RUNNING]
        assert len(begun) <= 1
        if not begun:
            return done
        done[begun[0].arm, begun[0].recipe.seed] = bench.work_off()
    raise AssertionError("the study did not end")


def test_all_arms_of_a_seed_come_before_the_next_seed_and_share_what_is_equal(bench: StudyBench) -> None:
    study_id = begin(bench)
    done = run_all(bench, study_id)
    assert list(done) == [(arm, seed) for seed in (3, 4) for arm in VALUES["arms"]]
    assert bench.state(study_id) is StudyState.SUCCEEDED
    first, second, third = (done[arm, 3] for arm in VALUES["arms"])
    assert "prepare" in first and "warmup/train" in first
    # The second arm has a PRM and another number of iterations; all before the PRM is the first one's.
    assert not {"prepare", "warmup/train", "warmup/generate/0000", "eval/base/greedy/0000"} & set(second)
    assert {"reward/train", "it01/select/0000", "it02/train"} <= set(second)
    # The third arm shares the PRM as well, and the rollouts of the first iteration.
    assert not {"reward/train", "reward/label/0000", "it01/generate/0000", "it01/generate/0001"} & set(third)
    assert {"it01/select/0000", "it01/train", "it02/generate/0000", "publish/02"} <= set(third)
    # Nothing is shared across seeds but the data.
    assert "warmup/train" in done["continuous", 4]


def test_a_run_says_from_which_run_it_has_its_steps(bench: StudyBench) -> None:
    study_id = begin(bench, seeds=[3])
    run_all(bench, study_id)
    first, second, _ = bench.entries(study_id)
    assert first.run_id and second.run_id
    with bench.store.reading() as tx:
        events = [one for one in tx.events.after(second.run_id, 0, 10_000) if one.type == "step.reused"]
    assert any(one.step == "warmup/train" and one.message.endswith(f"reused from run {first.run_id}") for one in events)
    step, source = (bench.steps(run)["warmup/train"] for run in (second.run_id, first.run_id))
    assert (step.artefact, step.result) == (source.artefact, source.result)
    assert step.key == source.key is not None


def test_a_run_is_handed_the_rollouts_of_another_that_its_report_shows(bench: StudyBench) -> None:
    study_id = begin(bench, seeds=[3], arms={name: VALUES["arms"][name] for name in ("top-2", "random-2")})
    bench.jobs.advance()
    bench.work_off()
    bench.jobs.advance()
    first, second = (one.run_id for one in bench.entries(study_id))
    assert second is not None
    bench.work_off(until="publish/02")
    claim = bench.lifecycle.claim(bench.step_id(second, "publish/02"), "w")
    shown = claim.inputs["it01/generate/0000"].artefact
    assert shown is not None and shown.id == f"{first}/it01/generate/0000"


def test_other_code_shares_nothing(home: Path) -> None:
    first = StudyBench(home)
    run_all(first, begin(first, seeds=[3]))
    first.store.close()
    second = StudyBench(home, code="0ther")
    done = run_all(second, begin(second, seeds=[3]))
    second.store.close()
    assert "warmup/train" in done["continuous", 3]


def test_projects_share_nothing_with_each_other(bench: StudyBench) -> None:
    run_all(bench, begin(bench, seeds=[3]))
    plan = study(seeds=[3])
    done = run_all(bench, bench.jobs.create(plan, planned(plan), project="other"))
    assert {"prepare", "warmup/train"} <= set(done["continuous", 3])


def test_a_run_outside_of_studies_takes_nothing_over(bench: StudyBench) -> None:
    study_id = begin(bench, seeds=[3])
    run_all(bench, study_id)
    recipe = bench.entries(study_id)[0].recipe
    bench.lifecycle.create(recipe)
    assert "warmup/train" in bench.work_off()


def test_an_artefact_that_is_gone_is_not_taken_over(bench: StudyBench) -> None:
    study_id = begin(bench, seeds=[3])
    bench.jobs.advance()
    bench.work_off()
    first = bench.entries(study_id)[0].run_id
    bench.artefacts.discard(f"{first}/warmup/train")
    bench.jobs.advance()
    assert "warmup/train" in bench.work_off()


def test_checkpoints_on_the_way_go_once_nobody_will_read_them(bench: StudyBench) -> None:
    study_id = begin(
        bench, seeds=[3], arms={"top-2": VALUES["arms"]["top-2"], "longer": {"evolution": {"iterations": 3}}}
    )
    run_all(bench, study_id)
    first, second = (one.run_id for one in bench.entries(study_id))
    there = [
        name
        for run in (first, second)
        for name in ("warmup/train", "it01/train", "it02/train", "it03/train")
        if bench.artefacts.find(f"{run}/{name}") is not None
    ]
    # The first run's last checkpoint and the second's; the warm-up stays, for whoever asks for it.
    assert there == ["warmup/train", "it02/train", "it03/train"]


def test_repair_makes_what_was_removed_on_purpose_again_only_for_a_step_that_reads_it(bench: StudyBench) -> None:
    arms = {"top-2": VALUES["arms"]["top-2"], "longer": {"evolution": {"iterations": 3}}}
    study_id = begin(bench, seeds=[3], arms=arms)
    run_all(bench, study_id)
    first, second = (one.run_id for one in bench.entries(study_id))
    # Both have its first iteration, and the study keeps no checkpoint of that.
    assert first and second and bench.artefacts.find(f"{first}/it01/train") is None
    for run in (first, second):
        assert bench.repair.repair(run).lost == {}
        assert bench.run(run).state is RunState.SUCCEEDED
    (bench.home / first / "it02/generate/0000/content").write_bytes(b"something else")
    assert list(bench.repair.repair(first).lost) == ["it01/train", "it02/generate/0000"]
    assert bench.work_off() == ["it01/train", "it02/generate/0000"]
    assert bench.run(first).state is RunState.SUCCEEDED
    # It is there again, so it is looked after again.
    assert not bench.steps(first)["it01/train"].removed


def test_a_checkpoint_stays_while_a_run_that_has_taken_it_over_goes_on(bench: StudyBench) -> None:
    study_id = begin(bench, seeds=[3], arms={"top-2": VALUES["arms"]["top-2"], "random-2": VALUES["arms"]["random-2"]})
    bench.jobs.advance()
    bench.work_off()
    bench.jobs.advance()
    first, second = (one.run_id for one in bench.entries(study_id))
    assert first and second
    shared = next(one for one in bench.steps(second).values() if one.name == "reward/train")
    assert shared.artefact is not None and shared.artefact.id.startswith(f"{first}/")
    with bench.store.writing() as tx:
        assert tx.steps.set_removed([bench.steps(first)["reward/train"], bench.steps(first)["it01/train"]]) == [
            f"{first}/it01/train"
        ]
    assert not bench.steps(first)["reward/train"].removed


def test_a_run_is_not_deleted_while_another_takes_over_what_it_made(bench: StudyBench) -> None:
    study_id = begin(bench, seeds=[3], arms={"top-2": VALUES["arms"]["top-2"]})
    run_all(bench, study_id)
    first = bench.entries(study_id)[0].run_id
    assert first is not None
    with bench.store.writing() as tx:
        # As if the study were forgotten, which alone would keep its run from being deleted.
        tx.studies._connection.execute(delete(study_runs))
    removal = Removal(bench.store, bench.folders, bench.artefacts, lambda _: None)
    refused: list[str] = []

    def remove() -> None:
        try:
            removal.delete(first, first)
        except Conflict as error:
            refused.append(error.detail)

    deletes = Thread(target=remove)

    class Slow(ArtefactStore):
        """Somebody deletes the run after its artefacts were found, and before that is written down."""

        def find(self, artefact: str) -> ArtefactRef | None:
            found = super().find(artefact)
            if not deletes.ident:
                deletes.start()
                deletes.join(0.5)
            return found

    reuse = Reuse(Slow(bench.home), lambda: "c0de")
    lifecycle = RunLifecycle(
        bench.store, bench.folders, bench.clock, 20.0, bench.changed, bench.artefacts.discard, streaming=False,
        reuse=reuse,
    )  # fmt: skip
    second = begin(bench, seeds=[3], arms={"random-2": VALUES["arms"]["random-2"]})
    StudyJobs(bench.store, lifecycle, bench.repair, reuse, bench.artefacts, lambda: "c0de", bench.changed).advance()
    deletes.join()
    taker = bench.entries(second)[0].run_id
    assert refused == [f"run {taker} uses what run {first} has made: delete that run first"]
    assert bench.artefacts.find(f"{first}/warmup/train") is not None


def test_a_failed_run_leaves_the_others_alone_and_resume_tries_it_again(bench: StudyBench) -> None:
    study_id = begin(bench, seeds=[3])
    bench.jobs.advance()
    claim = bench.lifecycle.claim(bench.due()[0], "w")
    bench.lifecycle.release(claim.step_id, Release(epoch=claim.epoch, error="no such data", retryable=False))
    run_all(bench, study_id)
    assert bench.state(study_id) is StudyState.FAILED
    with bench.store.reading() as tx:
        assert "1 of 3 runs have no result; continuous with seed 3" in str(tx.studies.get(study_id).error)
    bench.jobs.resume(study_id)
    bench.work_off()
    bench.jobs.advance()
    assert bench.state(study_id) is StudyState.SUCCEEDED


def test_a_study_that_is_resumed_goes_on_whatever_the_reconciler_does_meanwhile(bench: StudyBench) -> None:
    study_id = begin(bench, seeds=[3], arms={"top-2": VALUES["arms"]["top-2"]})
    bench.jobs.advance()
    claim = bench.lifecycle.claim(bench.due()[0], "w")
    bench.lifecycle.release(claim.step_id, Release(epoch=claim.epoch, error="no such data", retryable=False))
    bench.jobs.advance()
    assert bench.state(study_id) is StudyState.FAILED

    class SlowRepair(Repair):
        def resume(self, run_id: str) -> Findings:
            # Artefacts are checked for seconds, and the reconciler has a round in each.
            bench.jobs.advance()
            return super().resume(run_id)

    images = ImageStore(bench.folders.path("x").parent)
    repair = SlowRepair(bench.store, bench.artefacts, images, bench.lifecycle, bench.folders.path)
    reuse = Reuse(bench.artefacts, lambda: "c0de")
    StudyJobs(bench.store, bench.lifecycle, repair, reuse, bench.artefacts, lambda: "c0de", bench.changed).resume(
        study_id
    )
    assert bench.state(study_id) is StudyState.RUNNING


def test_cancel_ends_the_run_that_is_under_way(bench: StudyBench) -> None:
    study_id = begin(bench)
    bench.jobs.advance()
    bench.jobs.cancel(study_id)
    bench.jobs.advance()
    assert [one.state for one in bench.entries(study_id)] == [RunState.CANCELLED, *[None] * 5]
    with pytest.raises(IllegalTransition, match="cannot resume a study that is cancelled"):
        bench.jobs.resume(study_id)


def test_a_study_is_cancelled_with_its_run_or_not_at_all(bench: StudyBench) -> None:
    """A coordinator that is killed between the two would leave a run that nobody waits for."""

    class Killed(RunLifecycle):
        def cancel(self, run_id: str) -> None:
            raise KeyboardInterrupt

        def cancel_in(self, tx: Transaction, run_id: str) -> None:
            raise KeyboardInterrupt

    study_id = begin(bench)
    bench.jobs.advance()
    killed = Killed(
        bench.store, bench.folders, bench.clock, 20.0, bench.changed, bench.artefacts.discard, streaming=False
    )
    reuse = Reuse(bench.artefacts, lambda: "c0de")
    jobs = StudyJobs(bench.store, killed, bench.repair, reuse, bench.artefacts, lambda: "c0de", bench.changed)
    with pytest.raises(KeyboardInterrupt):
        jobs.cancel(study_id)
    assert bench.state(study_id) is StudyState.RUNNING
    bench.jobs.cancel(study_id)
    assert bench.entries(study_id)[0].state is RunState.CANCELLED


def test_studies_wait_for_each_other(bench: StudyBench) -> None:
    first, second = begin(bench, seeds=[3]), begin(bench, seeds=[4])
    bench.jobs.advance()
    bench.jobs.advance()
    assert [bool(one.run_id) for one in (*bench.entries(first), *bench.entries(second))] == [True, *[False] * 5]


def test_a_key_starts_one_study(bench: StudyBench) -> None:
    key = IdempotencyKey("k", "a" * 64)
    assert begin(bench, key) == begin(bench, key)
    with pytest.raises(IdempotencyMismatch):
        begin(bench, IdempotencyKey("k", "b" * 64))


def test_a_study_goes_on_after_a_restart(home: Path) -> None:
    bench = StudyBench(home)
    study_id = begin(bench, seeds=[3])
    bench.jobs.advance()
    bench.work_off()
    bench.store.close()
    again = StudyBench(home)
    run_all(again, study_id)
    assert again.state(study_id) is StudyState.SUCCEEDED
    again.store.close()
